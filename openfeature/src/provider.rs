//! The provider.

use std::sync::Arc;

use open_feature::provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, EvaluationResult, FlagMetadata,
    StructValue, Value, async_trait,
};
use rototo::{Cause, ProcessState, RefreshingWorkspace, ResolveError, ResolveOptions, Workspace};

use crate::context::SdkContext;
use crate::events::ProviderEvents;

/// Resolves flags from a workspace. See the documentation of the crate for an example and the mapping of terms.
#[derive(Debug)]
pub struct RototoProvider {
    workspace: Arc<RefreshingWorkspace>,
    targeting_key_attribute: String,
    metadata: ProviderMetadata,
}

impl RototoProvider {
    /// Makes a provider that resolves from `workspace`, which the application has started, and shuts down.
    #[must_use]
    pub fn new(workspace: Arc<RefreshingWorkspace>) -> Self {
        let (targeting_key_attribute, metadata) = ("targetingKey".to_owned(), ProviderMetadata::new("rototo"));
        Self { workspace, targeting_key_attribute, metadata }
    }

    /// Names the attribute that the targeting key fills, such as `account.id`; `targetingKey` by default.
    #[must_use]
    pub fn with_targeting_key_attribute(mut self, path: impl Into<String>) -> Self {
        self.targeting_key_attribute = path.into();
        self
    }

    /// Returns the events of this provider from now on. Call it before the SDK takes the provider.
    #[must_use]
    pub fn events(&self) -> ProviderEvents {
        ProviderEvents::new(self.workspace.clone())
    }

    fn resolve<T>(
        &self,
        key: &str,
        context: &EvaluationContext,
        convert: impl FnOnce(&serde_json::Value) -> Option<T>,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let view = self.workspace.current().map_err(|error| match error {
            error @ rototo::Error::NotLoaded { .. } => {
                evaluation_error(EvaluationErrorCode::ProviderNotReady, &error.to_string())
            }
            error => general_error(&error),
        })?;
        let attributes = SdkContext { context, targeting_key_attribute: &self.targeting_key_attribute };
        let resolved = view.resolve_with_cause(key, &attributes, ResolveOptions::default());
        let (resolution, cause) = resolved.map_err(|error| self.resolution_error(&error, &attributes))?;
        let value = convert(resolution.value).ok_or_else(|| {
            evaluation_error(
                EvaluationErrorCode::TypeMismatch,
                &format!("the value of `{key}` has another type than the caller asks for"),
            )
        })?;
        let stale = self.workspace.is_stale();
        Ok(ResolutionDetails {
            value,
            variant: Some(resolution.value_key.to_owned()),
            reason: Some(reason_of(cause, stale)),
            flag_metadata: Some(metadata_of(&view, stale)),
        })
    }

    fn resolution_error(&self, error: &rototo::Error, attributes: &SdkContext) -> EvaluationError {
        let rototo::Error::Resolve(reason) = error else { return general_error(error) };
        if let ResolveError::MissingAttribute { attribute, .. } = reason
            && let Some(fault) = attributes.fault(attribute)
        {
            return evaluation_error(EvaluationErrorCode::InvalidContext, &fault);
        }
        let code = match reason {
            ResolveError::UnknownVariable(_) => EvaluationErrorCode::FlagNotFound,
            ResolveError::MissingAttribute { attribute, .. }
                if **attribute == *self.targeting_key_attribute && attributes.targeting_key().is_none() =>
            {
                EvaluationErrorCode::TargetingKeyMissing
            }
            _ => EvaluationErrorCode::InvalidContext,
        };
        evaluation_error(code, &reason.to_string())
    }
}

/// Returns the version that a value comes from.
fn metadata_of(view: &Workspace, stale: bool) -> FlagMetadata {
    let mut metadata =
        FlagMetadata::default().with_value("fingerprint", view.fingerprint().to_string()).with_value("stale", stale);
    if let Some(revision) = view.revision() {
        metadata.add_value("revision", revision);
    }
    if let Some(updated_at) = view.updated_at() {
        metadata.add_value("updated_at", updated_at.to_string());
    }
    metadata
}

fn reason_of(cause: Cause, stale: bool) -> EvaluationReason {
    if stale {
        return EvaluationReason::Other("STALE".to_owned());
    }
    match cause {
        Cause::NoRules => EvaluationReason::Static,
        Cause::Default => EvaluationReason::Default,
        Cause::Rule => EvaluationReason::TargetingMatch,
        Cause::Bucket => EvaluationReason::Split,
        // A kind of rule that a newer engine knows.
        _ => EvaluationReason::Unknown,
    }
}

/// Returns a number as an integer; `None` for a float with a fraction, or beyond 2^53, where floats stand for several integers.
fn as_int(value: &serde_json::Value) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "the float is a whole number in this range")]
    let of_float = |float: f64| (float.fract() == 0.0 && float.abs() <= LARGEST).then_some(float as i64);
    value.as_i64().or_else(|| of_float(value.as_f64()?))
}

/// Returns a number as a float; `None` for an integer that no float has, such as 2^53 + 1.
fn as_float(value: &serde_json::Value) -> Option<f64> {
    let magnitude = value.as_i64().map(i64::unsigned_abs).or_else(|| value.as_u64()).unwrap_or_default();
    // The number of binary digits from the first to the last one that is set.
    let digits = u64::BITS.saturating_sub(magnitude.leading_zeros() + magnitude.trailing_zeros());
    value.as_f64().filter(|_| digits <= f64::MANTISSA_DIGITS)
}

fn general_error(error: &rototo::Error) -> EvaluationError {
    let text = error.to_string();
    evaluation_error(EvaluationErrorCode::General(text.clone()), &text)
}

fn evaluation_error(code: EvaluationErrorCode, message: &str) -> EvaluationError {
    EvaluationError { code, message: Some(message.to_owned()) }
}

#[async_trait]
impl FeatureProvider for RototoProvider {
    /// Waits until a version is loaded, for at most the start time-out of the workspace.
    async fn initialize(&mut self, _: &EvaluationContext) {
        // Following continues after a failure, and the status says that nothing is loaded yet.
        let _ = self.workspace.until_ready().await;
    }

    fn status(&self) -> ProviderStatus {
        let status = self.workspace.status();
        match status.state {
            ProcessState::Draining => ProviderStatus::Error,
            _ if status.fingerprint.is_none() => ProviderStatus::NotReady,
            _ if status.stale => ProviderStatus::STALE,
            _ => ProviderStatus::Ready,
        }
    }

    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    async fn resolve_bool_value(
        &self,
        key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.resolve(key, context, serde_json::Value::as_bool)
    }

    async fn resolve_int_value(
        &self,
        key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(key, context, as_int)
    }

    async fn resolve_float_value(
        &self,
        key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.resolve(key, context, as_float)
    }

    async fn resolve_string_value(
        &self,
        key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.resolve(key, context, |value| value.as_str().map(str::to_owned))
    }

    async fn resolve_struct_value(
        &self,
        key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.resolve(key, context, |value| match Value::try_from(value) {
            Ok(Value::Struct(value)) => Some(value),
            _ => None,
        })
    }
}

//! `POST /ofrep/v1/evaluate/flags/{key}`: the value of one variable.

use rototo::{ResolveError, ResolveOptions};

use crate::evaluation::fault::{Code, Fault};
use crate::evaluation::request::{EvaluationContext, TargetingAttribute};
use crate::evaluation::write_evaluation;
use crate::serving::Served;

/// The room for an answer with a small value.
const USUAL_ANSWER: usize = 512;

/// Evaluates a variable for the context in `body`.
pub(crate) fn single(
    served: &Served,
    key: &str,
    body: &[u8],
    attribute: &TargetingAttribute,
) -> Result<Vec<u8>, Fault> {
    let context = EvaluationContext::read(body, attribute)?;
    let evaluated = served.workspace.resolve_with_cause(key, &context.facts, ResolveOptions::default());
    let (resolution, cause) = evaluated.map_err(|error| match error {
        rototo::Error::Resolve(ResolveError::ContextMismatch(_)) => mismatch(served, &error, &context),
        error => context.fault(&error),
    })?;
    let mut out = Vec::with_capacity(USUAL_ANSWER);
    write_evaluation(&mut out, &resolution, cause, served);
    Ok(out)
}

/// Returns the fault of a context that does not match the workspace's context schema. If any targeting key would make
/// it match, the targeting key is what it lacks.
pub(super) fn mismatch(served: &Served, error: &rototo::Error, context: &EvaluationContext) -> Fault {
    let matches_with = |facts| served.workspace.validate_facts(&facts).is_ok();
    if context.with_any_targeting_key().is_some_and(matches_with) {
        return Fault::new(Code::TargetingKeyMissing, format!("the context has no targetingKey: {error}"));
    }
    context.fault(error)
}

//! An [OpenFeature](https://openfeature.dev) provider for Rust, which resolves in the process.
//!
//! It is for applications that use OpenFeature's SDK already. Others take [`RefreshingWorkspace`] itself, which has more: typed
//! values, views that stay the same for one request, and lists.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
//! use std::sync::Arc;
//!
//! use open_feature::{EvaluationContext, OpenFeature, StructValue};
//! use rototo::{RefreshOptions, RefreshingWorkspace};
//! use rototo_openfeature::RototoProvider;
//!
//! let workspace = Arc::new(RefreshingWorkspace::load(directory, RefreshOptions::new()).await?);
//! let mut api = OpenFeature::default();
//! api.set_provider(RototoProvider::new(workspace).with_targeting_key_attribute("account.id")).await;
//!
//! let context = EvaluationContext::default()
//!     .with_targeting_key("acct-001")
//!     .with_custom_field("service.queue_pressure", "high");
//! let client = api.create_client();
//! let policy = client.get_struct_details::<StructValue>("service-degradation-policy", Some(&context), None).await;
//! let policy = policy.map_err(|error| format!("{error:?}"))?;
//! assert_eq!(policy.variant.as_deref(), Some("severe"));
//! # Ok(())
//! # }
//! ```
//!
//! # Terms
//!
//! A flag is a variable, and its variant is the key of the value. The reason is `STATIC` for a variable without rules, `DEFAULT` if
//! none matched, `SPLIT` if the rule that matched reads a bucket, and else `TARGETING_MATCH`. A stale workspace gives every value
//! for the reason `STALE`. The metadata of a flag has the `fingerprint` and the `revision` of the content, `updated_at`, and `stale`.
//!
//! A caller who asks for a float gets an integer as one, and a caller who asks for an integer gets a float without a fraction, such as
//! `30.0`, up to 2^53. If no float has exactly the integer, such as 2^53 + 1, or the float has a fraction, the evaluation ends with
//! [`TypeMismatch`](open_feature::EvaluationErrorCode::TypeMismatch).
//!
//! # Contexts
//!
//! An attribute is a custom field whose name is the path that the workspace reads, such as `account.id`, or a part of a custom field
//! that is a [`StructValue`](open_feature::StructValue) or a [`serde_json::Value`]. An attribute that is a list or an object is in a
//! [`serde_json::Value`]: if a rule reads a list or a structure of the SDK, or one of its dates, the evaluation ends with
//! [`InvalidContext`](open_feature::EvaluationErrorCode::InvalidContext), and says so. A date is given as a text. The targeting key is
//! the attribute that [`RototoProvider::with_targeting_key_attribute`] names, where the context has no such field. The workspace's
//! context schema is not consulted: it describes JSON.
//!
//! # Events
//!
//! The SDK has no events in version 0.3. [`RototoProvider::events`] has those of the specification.
#![deny(missing_docs)]

mod context;
mod events;
mod provider;

pub use events::{ProviderEvent, ProviderEvents};
pub use provider::RototoProvider;
#[doc(no_inline)]
pub use rototo::RefreshingWorkspace;

//! ServiceAccounts, by the names that the API server gives to users.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};

/// Returns the namespace and the name of the ServiceAccount that a user is, if it is one.
pub(crate) fn namespace_and_name(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

/// Returns the user that this process is for the API server, if that is a ServiceAccount.
pub(crate) async fn own_user(client: &Client) -> kube::Result<Option<String>> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info?.username);
    Ok(user.filter(|user| namespace_and_name(user).is_some()))
}

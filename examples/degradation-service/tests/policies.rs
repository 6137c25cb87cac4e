//! Checks the resolutions that were agreed on for this service. The cases are files in `fixtures/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo::Workspace;
use rototo::testing::assert_fixtures;

#[tokio::test]
async fn every_agreed_policy_is_resolved() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../degradation-config");
    let workspace = Workspace::load(example).await.unwrap();
    let report = assert_fixtures(&workspace, concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).await.unwrap();
    assert_eq!(report.cases, 6);
}

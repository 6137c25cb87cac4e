//! The library resolves to the values that `rototo fixtures` writes.

use std::process::Command;

use rototo::Workspace;
use rototo::testing::assert_fixtures;
use rototo_tests::harness::program;

use crate::scene::example;

#[tokio::test]
async fn the_library_asserts_the_fixtures_that_the_command_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("rototo").unwrap());
    let output = command.arg("fixtures").arg(example()).arg("--out").arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let workspace = Workspace::load(example().display().to_string()).await.unwrap();
    assert!(assert_fixtures(&workspace, directory.path()).await.unwrap().cases > 3);
}

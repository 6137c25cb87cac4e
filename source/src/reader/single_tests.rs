use std::collections::BTreeMap;

use super::*;
use crate::credentials::Access;

async fn remote(reader: &SingleReader, source: &str, repositories: &str) -> Arc<Remote> {
    let keys = [("bearerToken", "hunter2"), ("repositories", repositories)];
    let keys: BTreeMap<_, _> = keys.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let access = Access::new(source.parse().unwrap(), Credentials::from_keys(&keys).unwrap());
    let Source::Git(git) = access.source() else { panic!("{source}") };
    reader.remote(git, access.credentials()).await
}

#[tokio::test]
async fn a_cached_repository_belongs_to_one_remote() {
    let reader = SingleReader::new(ReaderOptions::default()).unwrap();
    let one = remote(&reader, "git+https://h/a.git#main", "").await;
    let other = remote(&reader, "git+https://h/a.git#next:x", "https://h/acme").await;
    assert!(Arc::ptr_eq(&one, &other), "both would write to one directory");
    for source in ["git+https://other@h/a.git", "git+https://user:hunter3@h/a.git", "git+https://h/b.git"] {
        assert!(!Arc::ptr_eq(&one, &remote(&reader, source, "").await), "{source}");
    }
}

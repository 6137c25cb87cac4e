//! OpenFeature's SDK over a workspace in a directory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use open_feature::provider::{FeatureProvider, ProviderStatus};
use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationErrorCode, EvaluationReason, OpenFeature,
    StructValue, Value,
};
use rototo::{LoadOptions, RefreshOptions, RefreshingWorkspace};
use rototo_openfeature::{ProviderEvent, RototoProvider};
use serde_json::json;

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn variable(folder: &Path, name: &str, kind: &str, (off, on): (&str, &str), qualifier: &str) {
    let rule = match qualifier {
        "" => String::new(),
        name => format!("rule = [{{ qualifier = \"{name}\", value = \"on\" }}]\n"),
    };
    let text = format!(
        "schema_version = 1\ntype = \"{kind}\"\nvalues = {{ off = {off}, on = {on} }}\n[resolve]\ndefault = \"off\"\n{rule}"
    );
    write(folder, &format!("variables/{name}.toml"), &text);
}

fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "rototo-workspace.toml", "schema_version = 1\n");
    let qualifiers = [
        ("pro", "attribute = \"plan\", op = \"eq\", value = \"pro\""),
        ("high", "attribute = \"service.pressure\", op = \"eq\", value = \"high\""),
        ("tagged", "attribute = \"account.tags\", op = \"eq\", value = [\"a\"]"),
        ("whole", "attribute = \"account\", op = \"eq\", value = { tags = [\"a\"] }"),
        ("all", "attribute = \"account.id\", op = \"bucket\", salt = \"s\", range = [0, 10000]"),
    ];
    for (name, predicate) in qualifiers {
        write(
            path,
            &format!("qualifiers/{name}.toml"),
            &format!("schema_version = 1\npredicate = [{{ {predicate} }}]\n"),
        );
    }
    variable(path, "flag", "bool", ("false", "true"), "pro");
    variable(path, "limit", "int", ("10", "100"), "pro");
    variable(path, "ratio", "number", ("1.5", "2.5"), "high");
    variable(path, "trial", "string", ("\"control\"", "\"treatment\""), "all");
    variable(path, "policy", "object", ("{ mode = \"a\" }", "{ mode = \"b\", deep = { n = 1 } }"), "pro");
    variable(path, "tagged", "bool", ("false", "true"), "tagged");
    variable(path, "whole", "bool", ("false", "true"), "whole");
    variable(path, "exact", "number", ("9007199254740992", "-9223372036854775808"), "pro");
    variable(path, "inexact", "number", ("9007199254740993", "9223372036854775807"), "pro");
    variable(path, "none", "number", ("0", "1"), "pro");
    variable(path, "fixed", "string", ("\"same\"", "\"other\""), "");
    folder
}

async fn client(folder: &Path) -> (OpenFeature, Client) {
    let source = folder.display().to_string();
    let workspace = RefreshingWorkspace::load(source, RefreshOptions::new()).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_provider(RototoProvider::new(Arc::new(workspace)).with_targeting_key_attribute("account.id")).await;
    let client = api.create_client();
    (api, client)
}

#[tokio::test]
async fn every_type_and_reason_arrives() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    let context = EvaluationContext::default().with_targeting_key("a").with_custom_field("plan", "pro");
    let flag = client.get_bool_details("flag", Some(&context), None).await.unwrap();
    assert_eq!(
        (flag.value, flag.variant.as_deref(), flag.reason),
        (true, Some("on"), Some(EvaluationReason::TargetingMatch))
    );
    assert!(flag.flag_metadata.values.contains_key("fingerprint"));
    assert_eq!(client.get_int_details("limit", Some(&context), None).await.unwrap().value, 100);
    let trial = client.get_string_details("trial", Some(&context), None).await.unwrap();
    assert_eq!((trial.value.as_str(), trial.reason), ("treatment", Some(EvaluationReason::Split)));
    let fixed = client.get_string_details("fixed", None, None).await.unwrap();
    assert_eq!((fixed.value.as_str(), fixed.reason), ("same", Some(EvaluationReason::Static)));
    let policy = client.get_struct_details::<StructValue>("policy", Some(&context), None).await.unwrap();
    assert_eq!(policy.value.fields["mode"], Value::String("b".to_owned()));
    let free = EvaluationContext::default().with_custom_field("plan", "free");
    let flag = client.get_bool_details("flag", Some(&free), None).await.unwrap();
    assert_eq!((flag.value, flag.reason), (false, Some(EvaluationReason::Default)));
    assert!((client.get_float_value("ratio", Some(&nested_json()), None).await.unwrap() - 2.5).abs() < f64::EPSILON);
}

fn nested_json() -> EvaluationContext {
    let service = EvaluationContextFieldValue::new_struct(json!({ "pressure": "high" }));
    EvaluationContext::default().with_custom_field("service", service)
}

#[tokio::test]
async fn attributes_are_fields_by_path_or_parts_of_structures() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    let service = StructValue { fields: [("pressure".to_owned(), Value::String("high".to_owned()))].into() };
    let service = EvaluationContextFieldValue::new_struct(service);
    for context in [
        EvaluationContext::default().with_custom_field("service.pressure", "high"),
        EvaluationContext::default().with_custom_field("service", service),
        nested_json(),
    ] {
        assert!(client.get_float_value("ratio", Some(&context), None).await.unwrap() > 2.0, "{context:?}");
    }
}

#[tokio::test]
async fn lists_and_objects_are_attributes_in_json_alone() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    let tags = Value::Array(vec![Value::String("a".to_owned())]);
    let account = StructValue { fields: [("tags".to_owned(), tags)].into() };
    let json = EvaluationContextFieldValue::new_struct(json!({ "tags": ["a"] }));
    let json = EvaluationContext::default().with_custom_field("account", json);
    let sdk = EvaluationContextFieldValue::new_struct(account);
    let sdk = EvaluationContext::default().with_targeting_key("a").with_custom_field("account", sdk);
    for (flag, fault) in [
        ("tagged", "`account.tags` is a list of the SDK: give `account` as a serde_json::Value"),
        ("whole", "`account` is a structure of the SDK: give `account` as a serde_json::Value"),
    ] {
        assert!(client.get_bool_value(flag, Some(&json), None).await.unwrap());
        let error = client.get_bool_value(flag, Some(&sdk), None).await.unwrap_err();
        assert_eq!((error.code, error.message.as_deref()), (EvaluationErrorCode::InvalidContext, Some(fault)));
    }
}

#[tokio::test]
async fn a_date_or_a_structure_of_the_application_is_named_in_the_error() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    let date = EvaluationContextFieldValue::DateTime(std::time::SystemTime::UNIX_EPOCH.into());
    let structure = EvaluationContextFieldValue::new_struct(String::from("of the application"));
    let absent = EvaluationContextFieldValue::new_struct(json!({ "name": "a" }));
    let of_application = "`account` has a type of the application: give it as a serde_json::Value";
    for (flag, field, value, fault) in [
        ("flag", "plan", &date, "`plan` is a date of the SDK: give it as a text"),
        ("whole", "account", &structure, of_application),
        ("tagged", "account", &structure, of_application),
        // These have no such attribute.
        ("tagged", "account", &date, "account.tags"),
        ("tagged", "account", &absent, "account.tags"),
    ] {
        let context = EvaluationContext::default().with_custom_field(field, value.clone());
        let error = client.get_bool_value(flag, Some(&context), None).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
        let message = error.message.unwrap();
        let is_named = if fault == "account.tags" { message.contains(fault) } else { message == fault };
        assert!(is_named && message.contains("give it as") == (fault != "account.tags"), "{fault}: {message}");
    }
}

#[tokio::test]
async fn a_whole_float_is_an_integer() {
    let folder = workspace();
    for (name, off, on) in [("whole-float", "30.0", "-0.0"), ("fraction", "30.5", "1e300")] {
        variable(folder.path(), name, "number", (off, on), "pro");
    }
    let (_api, client) = client(folder.path()).await;
    for (plan, expected) in [("free", 30), ("pro", 0)] {
        let context = EvaluationContext::default().with_custom_field("plan", plan);
        assert_eq!(client.get_int_value("whole-float", Some(&context), None).await.unwrap(), expected);
        let error = client.get_int_value("fraction", Some(&context), None).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::TypeMismatch, "{plan}");
    }
}

#[tokio::test]
async fn every_error_has_its_code() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    let context = EvaluationContext::default().with_custom_field("plan", "pro");
    let code = |error: Result<bool, open_feature::EvaluationError>| error.unwrap_err().code;
    assert_eq!(code(client.get_bool_value("nothing", Some(&context), None).await), EvaluationErrorCode::FlagNotFound);
    assert_eq!(code(client.get_bool_value("limit", Some(&context), None).await), EvaluationErrorCode::TypeMismatch);
    assert_eq!(code(client.get_bool_value("flag", None, None).await), EvaluationErrorCode::InvalidContext);
    for key in [None, Some("")] {
        let context = EvaluationContext { targeting_key: key.map(str::to_owned), ..EvaluationContext::default() };
        let error = client.get_string_value("trial", Some(&context), None).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::TargetingKeyMissing);
    }
}

#[tokio::test]
async fn an_integer_is_a_float_only_if_a_float_has_it() {
    let folder = workspace();
    let (_api, client) = client(folder.path()).await;
    for plan in ["free", "pro"] {
        let context = EvaluationContext::default().with_custom_field("plan", plan);
        let value = async |flag: &str| client.get_float_value(flag, Some(&context), None).await;
        let (exact, none) = if plan == "free" { (2_f64.powi(53), 0.0) } else { (-2_f64.powi(63), 1.0) };
        assert_eq!((value("exact").await.unwrap(), value("none").await.unwrap()), (exact, none));
        assert_eq!(value("inexact").await.unwrap_err().code, EvaluationErrorCode::TypeMismatch, "{plan}");
        let integer = client.get_int_value("inexact", Some(&context), None).await.unwrap();
        assert_eq!(integer, if plan == "free" { (1 << 53) + 1 } else { i64::MAX });
    }
}

#[tokio::test]
async fn changes_and_staleness_are_events_and_status() {
    let folder = workspace();
    let options = RefreshOptions::new()
        .with_period(Duration::from_millis(200))
        .with_failure_backoff(Duration::from_millis(200), Duration::from_millis(200))
        .with_max_staleness(Duration::from_secs(1));
    let source = folder.path().display().to_string();
    let workspace = Arc::new(RefreshingWorkspace::start(source, LoadOptions::new(), options).unwrap());
    let mut provider = RototoProvider::new(workspace.clone());
    let mut events = provider.events();
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::Ready);
    assert_eq!(events.next().await, Some(ProviderEvent::Ready));
    variable(folder.path(), "limit", "int", ("11", "111"), "pro");
    let changed = ProviderEvent::ConfigurationChanged { flags: vec!["limit".to_owned()] };
    assert_eq!(events.next().await, Some(changed));
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away).unwrap();
    assert_eq!(events.next().await, Some(ProviderEvent::Stale));
    assert_eq!(provider.status(), ProviderStatus::STALE);
    std::fs::rename(&away, folder.path()).unwrap();
    assert_eq!(events.next().await, Some(ProviderEvent::Ready));
    workspace.shutdown().await;
    assert_eq!(events.next().await, None);
    assert_eq!(provider.status(), ProviderStatus::Error);
}

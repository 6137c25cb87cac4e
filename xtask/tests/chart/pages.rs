//! The pages give values and commands that the chart takes, and name the rights that it asks for.

use std::fs;

use serde_json::{Value, json};

use crate::rendering::{every_set, of_kind, pod};
use crate::{read, template};

/// A command of a page is a line that begins with `helm install` or `helm upgrade`, and its continuations. Its values, and
/// each block of values in YAML, render what their priority class needs.
#[test]
fn the_helm_commands_and_the_values_of_the_pages_render() {
    let pages = ["docs/quickstart.md", "docs/production.md", "charts/rototo-operator/README.in.md"];
    let mut blocks = 0;
    for page in pages {
        let text = read(page).replace("\\\n", " ").replace('$', "");
        let helm = |line: &&str| line.starts_with("helm install") || line.starts_with("helm upgrade --install");
        let commands: Vec<&str> = text.lines().filter(helm).collect();
        assert!(!commands.is_empty(), "{page}");
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            let values = words.windows(2).filter(|pair| pair[0] == "--set").flatten().copied();
            pods_are_admitted(&format!("{page}: {command}"), &values.collect::<Vec<_>>());
        }
        for block in text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap()) {
            if !is_values(block) {
                continue;
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), block).unwrap();
            pods_are_admitted(&format!("{page}: {block}"), &["--values", &file.path().display().to_string()]);
            blocks += 1;
        }
    }
    assert_eq!(blocks, 2, "blocks of values in the pages");
}

/// Tells values of the chart from other YAML: objects, and parts of them.
fn is_values(block: &str) -> bool {
    let known: Value = serde_saphyr::from_str(&read("charts/rototo-operator/values.yaml")).unwrap();
    let block: Value = serde_saphyr::from_str(block).unwrap();
    block.as_object().is_some_and(|block| block.keys().all(|key| known.get(key).is_some()))
}

/// Renders these values. A cluster may refuse pods of a class of Kubernetes itself without a ResourceQuota for it.
fn pods_are_admitted(what: &str, values: &[&str]) {
    let rendered = template(values).unwrap_or_else(|error| panic!("{what}: {error}"));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let class = pod(&objects)["spec"]["priorityClassName"].as_str().filter(|class| class.starts_with("system-"));
    let Some(class) = class else { return };
    let admits = |quota: &&Value| {
        let scopes = quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
        let mut classes = scopes.filter(|scope| scope["scopeName"] == "PriorityClass");
        classes.any(|scope| scope["values"].as_array().is_some_and(|values| values.contains(&json!(class))))
    };
    assert!(of_kind(&objects, "ResourceQuota").iter().any(admits), "{what}: no ResourceQuota for {class}");
}

/// Every value that a page names in code exists.
#[test]
fn the_values_that_the_page_on_production_names_exist() {
    let values: Value = serde_saphyr::from_str(&read("charts/rototo-operator/values.yaml")).unwrap();
    let mut known = 0;
    for name in read("docs/production.md").split('`').skip(1).step_by(2) {
        let path: Vec<&str> = name.split('=').next().unwrap().split('.').collect();
        if path.len() > 1 && values.get(path[0]).is_some() {
            let value = path.iter().try_fold(&values, |value, part| value.get(part));
            assert!(value.is_some(), "docs/production.md names the value `{name}`, which does not exist");
            known += 1;
        }
    }
    assert!(known > 8, "{known}");
}

/// A rule without the names of objects covers all of them.
#[test]
fn the_page_on_production_names_what_the_operator_may_do_with_all_objects_of_a_kind() {
    let page = read("docs/production.md");
    let rights = page.split("\n## ").find(|section| section.starts_with("Rights\n")).unwrap().to_lowercase();
    for (set, objects) in every_set() {
        let roles = of_kind(&objects, "ClusterRole").into_iter().chain(of_kind(&objects, "Role"));
        let of_the_operator = roles.filter(|role| {
            let name = role["metadata"]["name"].as_str().unwrap();
            ["view", "edit", "promote"].iter().all(|role| !name.ends_with(&format!(".{role}")))
        });
        let rules = of_the_operator.flat_map(|role| role["rules"].as_array().unwrap());
        for rule in rules.filter(|rule| rule["resourceNames"].is_null()) {
            for resource in rule["resources"].as_array().unwrap() {
                let resource = resource.as_str().unwrap().split('/').next().unwrap();
                assert!(rights.contains(resource), "{set}: docs/production.md does not name the right on {resource}");
            }
        }
    }
}

//! `rototo docs` has all guides and pages of reference, and the site that it exports leads to no absent page.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::{example, json, prints};

#[test]
fn each_guide_is_a_page() {
    // For people who change rototo, and the list of all pages.
    let others = ["README", "benchmarks", "releasing"];
    let index = json(&example(), &["docs"]);
    let sections = index["sections"].as_array().unwrap().iter();
    let pages = sections.flat_map(|section| section["pages"].as_array().unwrap());
    let pages: BTreeSet<&str> = pages.map(|page| page["id"].as_str().unwrap()).collect();
    for folder in ["../docs", "../docs/reference"] {
        for file in Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).read_dir().unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".md").filter(|name| !others.contains(name)) else { continue };
            assert!(pages.contains(name), "{name} is not in `rototo docs`");
        }
    }
    assert!(prints(&example(), &["docs", "-p", "runbook"]).starts_with("# Runbook\n"));
}

/// Returns the values of an attribute in a page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).map(|rest| rest.split_once('"').unwrap().0).collect()
}

#[test]
fn each_link_of_the_site_leads_to_a_page_and_a_heading() {
    let directory = tempfile::tempdir().unwrap();
    prints(directory.path(), &["docs", "--export", "site"]);
    let files = directory.path().join("site").read_dir().unwrap().map(|file| file.unwrap());
    let pages =
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap()));
    let pages: BTreeMap<_, _> = pages.collect();
    let mut checked = 0;
    for (name, html) in &pages {
        for link in values(html, "href").into_iter().chain(values(html, "src")) {
            if link.contains("://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = pages.get(if file.is_empty() { name.as_str() } else { file });
            let target = target.unwrap_or_else(|| panic!("{name} links to {link}, and there is no such page"));
            let has_heading = fragment.is_empty() || values(target, "id").contains(&fragment);
            assert!(has_heading, "{name} links to {link}, and there is no such heading");
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked}");
}

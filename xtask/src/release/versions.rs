//! The version of a release: the same one in Cargo.toml, in the chart, and in the changelog.
//!
//! [`agreed`] is pure, and reports all disagreements at once.

use std::fs;

use anyhow::Context;

use super::chart_yaml::ChartYaml;
use crate::cargo;

/// The heading of changes that no release has yet.
const UNRELEASED: &str = "Unreleased";

/// The versions as the files state them.
pub(crate) struct Stated {
    /// The text of Cargo.toml.
    pub(crate) cargo: String,
    /// The packages of the cargo workspace with their versions.
    pub(crate) packages: Vec<(String, String)>,
    pub(crate) chart: ChartYaml,
    /// The text of CHANGELOG.md.
    pub(crate) changelog: String,
}

impl Stated {
    /// Reads the files.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let read = |path: &str| fs::read_to_string(cargo::root().join(path)).with_context(|| format!("read {path}"));
        let metadata = cargo::metadata()?;
        let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            cargo: read("Cargo.toml")?,
            packages: packages.iter().map(|package| (text(&package["name"]), text(&package["version"]))).collect(),
            chart: ChartYaml::read()?,
            changelog: read("CHANGELOG.md")?,
        })
    }
}

/// The version on which all files agree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) version: String,
    /// True if the changelog has the changes below `Unreleased`, and not below the version.
    pub(crate) is_unreleased: bool,
    /// The section of the changelog.
    pub(crate) changes: String,
}

/// Compares the versions, and the tag if there is one. Returns each disagreement with its place and its remedy.
pub(crate) fn agreed(stated: &Stated, tag: Option<&str>) -> Result<Agreed, Vec<String>> {
    let Some(version) = workspace_version(&stated.cargo) else {
        return Err(vec![
            "Cargo.toml: `[workspace.package]` has no line `version = \"…\"`: write one there".to_owned(),
        ]);
    };
    let mut wrong = Vec::new();
    let compare = |place: String, found: &str, remedy: &str| {
        let differs = found != version;
        differs.then(|| format!("{place} is `{found}`, and the version in Cargo.toml is `{version}`: {remedy}"))
    };
    for (package, found) in &stated.packages {
        let place = format!("the version of the package {package}");
        wrong.extend(compare(place, found, "write `version.workspace = true` in its Cargo.toml"));
    }
    for key in ["version", "appVersion"] {
        let place = format!("charts/rototo-operator/Chart.yaml: `{key}`");
        let found = stated.chart.text(key).unwrap_or_default();
        wrong.extend(compare(place, found, &format!("write `{version}` there")));
    }
    if let Some(tag) = tag.filter(|tag| tag.strip_prefix('v') != Some(version)) {
        wrong.push(format!(
            "the tag is `{tag}`, and the version in Cargo.toml is `{version}`: tag the commit `v{version}`, or write \
             the version of the tag into Cargo.toml"
        ));
    }
    if !is_version(version) {
        wrong
            .push(format!("Cargo.toml: `{version}` is not a version such as `0.1.0` or `0.2.0-rc.1`: write one there"));
    }
    let (heading, changes) = newest_section(&stated.changelog).unwrap_or_default();
    let named = heading.split([' ', '(']).next().unwrap_or_default().trim_matches(['[', ']']);
    if named != UNRELEASED {
        let remedy = format!("write `## {version} - DATE` above the changes of this release, or `## {UNRELEASED}`");
        wrong.extend(compare(format!("CHANGELOG.md: the newest section `## {heading}`"), named, &remedy));
    }
    if changes.is_empty() {
        wrong.push(format!("CHANGELOG.md: the newest section `## {heading}` is empty: list what a user notices"));
    }
    if wrong.is_empty() {
        let (version, changes) = (version.to_owned(), changes.to_owned());
        return Ok(Agreed { version, is_unreleased: named == UNRELEASED, changes });
    }
    Err(wrong)
}

/// Returns the version that the packages inherit.
fn workspace_version(cargo: &str) -> Option<&str> {
    let (_, section) = cargo.split_once("[workspace.package]\n")?;
    let mut lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.find_map(|line| line.strip_prefix("version")?.trim_start().strip_prefix("= \"")?.strip_suffix('"'))
}

/// Returns the first heading of the second level, and the text below it.
fn newest_section(changelog: &str) -> Option<(&str, &str)> {
    let (_, rest) = changelog.split_once("\n## ")?;
    let rest = rest.split("\n## ").next()?;
    let (heading, text) = rest.split_once('\n').unwrap_or((rest, ""));
    Some((heading.trim(), text.trim()))
}

fn is_version(text: &str) -> bool {
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let rest_is_right = rest.is_empty()
        || rest.len() > 1 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte));
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number) && rest_is_right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated() -> Stated {
        Stated {
            cargo: "[workspace]\n[workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"\n[profile.dev]\n"
                .to_owned(),
            packages: vec![("rototo-cli".to_owned(), "0.1.0".to_owned())],
            chart: ChartYaml::parse("name: rototo-operator\nversion: 0.1.0\nappVersion: \"0.1.0\"\n").unwrap(),
            changelog: "# Changelog\n\nText.\n\n## 0.1.0 - 2026-11-26\n\n- New.\n\n## 0.0.9\n\n- Old.\n".to_owned(),
        }
    }

    #[test]
    fn the_versions_of_this_repository_agree() {
        let agreed = agreed(&Stated::read().unwrap(), None);
        assert!(agreed.is_ok(), "{agreed:?}");
    }

    #[test]
    fn a_release_has_the_section_of_its_version() {
        let expected = Agreed { version: "0.1.0".to_owned(), is_unreleased: false, changes: "- New.".to_owned() };
        assert_eq!(agreed(&stated(), Some("v0.1.0")), Ok(expected));
        assert!(agreed(&stated(), Some("0.1.0")).unwrap_err()[0].contains("tag the commit `v0.1.0`"));
        for heading in ["[0.1.0] - 2026-11-26", "0.1.0", "0.1.0 (2026-11-26)"] {
            let changelog = format!("# Changelog\n\n## {heading}\n\n- New.\n");
            assert!(agreed(&Stated { changelog, ..stated() }, None).is_ok(), "{heading}");
        }
    }

    #[test]
    fn unreleased_changes_are_noted() {
        let changelog = "# Changelog\n\n## Unreleased\n\n- New.\n".to_owned();
        assert!(agreed(&Stated { changelog, ..stated() }, None).unwrap().is_unreleased);
    }

    #[test]
    fn all_disagreements_are_reported_at_once_with_place_and_remedy() {
        let wrong = Stated {
            packages: vec![("rototo-cli".to_owned(), "0.2.0".to_owned())],
            chart: ChartYaml::parse("version: 0.3.0\nappVersion: \"0.4.0\"\n").unwrap(),
            changelog: "# Changelog\n\n## 0.0.9\n".to_owned(),
            ..stated()
        };
        let errors = agreed(&wrong, Some("v0.5.0")).unwrap_err();
        let expected = [
            ("the version of the package rototo-cli is `0.2.0`", "write `version.workspace = true`"),
            ("charts/rototo-operator/Chart.yaml: `version` is `0.3.0`", "write `0.1.0` there"),
            ("charts/rototo-operator/Chart.yaml: `appVersion` is `0.4.0`", "write `0.1.0` there"),
            ("the tag is `v0.5.0`", "tag the commit `v0.1.0`"),
            ("CHANGELOG.md: the newest section `## 0.0.9` is `0.0.9`", "write `## 0.1.0 - DATE`"),
            ("CHANGELOG.md: the newest section `## 0.0.9` is empty", "list what a user notices"),
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, (place, remedy)) in errors.iter().zip(expected) {
            assert!(error.starts_with(place) && error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_version_has_three_numbers_and_may_be_a_candidate() {
        for right in ["0.1.0", "10.20.30", "1.0.0-rc.1", "1.0.0+5"] {
            assert!(is_version(right), "{right}");
        }
        for wrong in ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "1.0.0-", "1.0.0-rc/1"] {
            assert!(!is_version(wrong), "{wrong}");
        }
    }
}

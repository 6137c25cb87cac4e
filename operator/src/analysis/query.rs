//! Fills in a query. Pure.

use rototo_api::analysis::{FINGERPRINT, PODS};

/// The most pods that a query names.
const NAMED: usize = 1_000;

/// Returns the query for these pods and this content.
pub(super) fn filled_in(query: &str, pods: &[String], fingerprint: &str) -> String {
    query.replace(FINGERPRINT, fingerprint).replace(PODS, &any_of(pods))
}

/// Returns a regular expression for these names. It has no backslash, so it means the same between each kind of quotes.
fn any_of(names: &[String]) -> String {
    let mut expression = String::new();
    for name in names.iter().take(NAMED) {
        if !expression.is_empty() {
            expression.push('|');
        }
        for character in name.chars() {
            match character {
                'a'..='z' | '0'..='9' | '-' => expression.push(character),
                '.' => expression.push_str("[.]"),
                // Names of pods have no other character. A dot means any.
                _ => expression.push('.'),
            }
        }
    }
    expression
}

/// Returns the query as the body of a form.
pub(super) fn form(query: &str) -> String {
    let encoded = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
    format!("query={encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_query_names_the_pods_of_the_stage_and_the_content() {
        let query = r#"sum(errors{pod=~"{{pods}}", config="{{fingerprint}}"}) / sum(requests{pod=~"{{pods}}"})"#;
        assert_eq!(
            filled_in(query, &pods(&["app-1", "app.x-2"]), "sha256:9f2c"),
            r#"sum(errors{pod=~"app-1|app[.]x-2", config="sha256:9f2c"}) / sum(requests{pod=~"app-1|app[.]x-2"})"#
        );
        assert_eq!(filled_in("up", &pods(&["a"]), "sha256:9f2c"), "up");
    }

    #[test]
    fn a_query_names_no_more_pods_than_its_limit() {
        let many: Vec<String> = (0..2_000).map(|pod| format!("app-{pod}")).collect();
        assert_eq!(any_of(&many).split('|').count(), NAMED);
    }

    #[test]
    fn no_name_ends_the_text_that_it_stands_in() {
        let expression = any_of(&pods(&["a\"}) or vector(1) #", "b`c", "d'e\\"]));
        assert!(!expression.contains(['"', '`', '\'', '\\', '(', ' ']), "{expression}");
    }

    #[test]
    fn a_form_has_no_character_that_ends_its_value() {
        assert_eq!(form("up{a=\"b\"}&c=d"), "query=up%7Ba%3D%22b%22%7D%26c%3Dd");
    }
}

//! Fills in a query. Pure.

use percent_encoding::utf8_percent_encode;
use rototo_api::analysis::{FINGERPRINT, PODS};

use crate::outbound::UNRESERVED;

/// The most pods that a query names. The query is a part of the line of a request, which servers and proxies limit.
const NAMED: usize = 100;

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

/// Returns the query as the part of an address.
pub(super) fn in_address(query: &str) -> String {
    format!("query={}", utf8_percent_encode(query, &UNRESERVED))
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
        let many: Vec<String> = (0..200).map(|pod| format!("app-{pod}")).collect();
        assert_eq!(any_of(&many).split('|').count(), NAMED);
    }

    #[test]
    fn no_name_ends_the_text_that_it_stands_in() {
        let expression = any_of(&pods(&["a\"}) or vector(1) #", "b`c", "d'e\\"]));
        assert!(!expression.contains(['"', '`', '\'', '\\', '(', ' ']), "{expression}");
    }

    #[test]
    fn a_query_in_an_address_has_no_character_that_ends_it() {
        assert_eq!(in_address("up{a=\"b-1.2\"}&c=d #"), "query=up%7Ba%3D%22b-1.2%22%7D%26c%3Dd%20%23");
    }
}

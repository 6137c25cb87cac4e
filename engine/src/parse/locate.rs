//! Finds the place of a nested value in a TOML document. Only diagnostics need it.

use toml::de::{DeTable, DeValue};

use crate::document::text::Span;
use crate::parse::toml::refuse_long_keys;

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    Key(String),
    Index(usize),
}

/// The place of a value, and of the key in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: Option<Span>,
    pub(crate) value: Option<Span>,
}

impl Place {
    /// Returns the span from the key to the end of the value if both are separate, or else that of the value.
    pub(crate) fn span(self) -> Option<Span> {
        match (self.key, self.value) {
            (Some(key), Some(value)) if key.end <= value.start => Some(Span { start: key.start, end: value.end }),
            (key, value) => value.or(key),
        }
    }
}

/// A document that was read again for its places.
pub(crate) struct Places<'i>(Option<DeTable<'i>>);

impl<'i> Places<'i> {
    pub(crate) fn of(bytes: &'i [u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| refuse_long_keys(text).is_ok());
        Self(text.and_then(|text| DeTable::parse(text).ok()).map(toml::Spanned::into_inner))
    }

    /// Returns the place of the value at `steps`; if the path leads beyond the document, the last place on it.
    pub(crate) fn find(&self, steps: &[PathStep]) -> Place {
        self.0.as_ref().map_or_else(Place::default, |root| follow(root, steps))
    }
}

fn follow(root: &DeTable<'_>, steps: &[PathStep]) -> Place {
    let mut place = Place::default();
    let mut steps = steps.iter();
    let first = match steps.next() {
        Some(PathStep::Key(key)) => entry(root, key),
        _ => None,
    };
    let Some((key, mut node)) = first else { return place };
    place = Place { key: Some(key), value: Some(node.span().into()) };
    for step in steps {
        let next = match (step, node.get_ref()) {
            (PathStep::Key(key), DeValue::Table(table)) => entry(table, key).map(|(key, node)| (Some(key), node)),
            (PathStep::Index(index), DeValue::Array(items)) => items.get(*index).map(|item| (None, item)),
            _ => None,
        };
        let Some((key, next)) = next else { return place };
        place = Place { key, value: Some(next.span().into()) };
        node = next;
    }
    place
}

type Node<'i> = toml::Spanned<DeValue<'i>>;

fn entry<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<(Span, &'a Node<'i>)> {
    table.get_key_value(key).map(|(key, node)| (key.span().into(), node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_to_the_line_of_the_value() {
        let text = "mode = \"x\"\n[a]\nb = [1, { c = 2 }]\n";
        let check = |steps: &[PathStep], found: &str| {
            let span = Places::of(text.as_bytes()).find(steps).span().unwrap_or_default();
            assert_eq!(&text[span.start..span.end], found, "{steps:?}");
        };
        let key = |name: &str| PathStep::Key(name.to_owned());
        check(&[key("mode")], "mode = \"x\"");
        check(&[key("a"), key("b"), PathStep::Index(0)], "1");
        check(&[key("a"), key("b"), PathStep::Index(1), key("c")], "c = 2");
        check(&[key("a"), key("b"), PathStep::Index(9)], "b = [1, { c = 2 }]");
        check(&[key("nowhere")], "");
    }
}

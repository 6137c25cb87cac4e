//! The keys that a table may have, and the headers of tables.

use gen_lsp_types::CompletionItemKind;
use rototo_engine::DocumentKind;
use rototo_engine::parse::KeyPlace;

use crate::cursor::Cursor;
use crate::features::completion::Item;
use crate::features::key_place;

/// A header of a table in documents of a kind.
struct Header {
    kind: DocumentKind,
    keys: &'static [&'static str],
    /// True for one table of a list.
    is_list: bool,
}

/// The headers that people write; the tables may also be written inline.
const HEADERS: &[Header] = &[
    Header { kind: DocumentKind::Variable, keys: &["values"], is_list: false },
    Header { kind: DocumentKind::Variable, keys: &["resolve"], is_list: false },
    Header { kind: DocumentKind::Variable, keys: &["resolve", "rule"], is_list: true },
    Header { kind: DocumentKind::Qualifier, keys: &["predicate"], is_list: true },
];

/// Returns the keys that the table around the cursor may have, and the headers that may begin there.
pub(super) fn keys(kind: DocumentKind, text: &str, cursor: &Cursor) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(place) = key_place(kind, &cursor.table) {
        items.extend(place.keys().iter().filter_map(|key| self::key(place, key, cursor)));
    }
    if begins_line(text, cursor.token.start) {
        items.extend(HEADERS.iter().filter(|header| header.kind == kind && may_follow(header, text)).map(header));
    }
    items
}

/// Returns the keys that may follow those in front of the cursor in a header.
pub(super) fn headers_after(kind: DocumentKind, before: &[String]) -> Vec<Item> {
    let matching = HEADERS.iter().filter(|header| header.kind == kind);
    let matching = matching.filter(|header| header.keys.iter().take(before.len()).eq(before.iter()));
    let next = matching.filter_map(|header| header.keys.get(before.len()).copied());
    let mut next: Vec<&str> = next.collect();
    next.dedup();
    let place = key_place(kind, before);
    let explanation = |key| place.and_then(|place| place.explanation(key)).map(str::to_owned);
    next.into_iter().map(|key| Item::new(key, CompletionItemKind::Struct).documentation(explanation(key))).collect()
}

/// Returns the proposal of a key with its beginning of a value, unless the table has it. A table is proposed by its
/// header, where that is possible.
fn key(place: KeyPlace, key: &str, cursor: &Cursor) -> Option<Item> {
    let written = cursor.siblings.iter().filter(|(sibling, _)| sibling == key).count();
    let has_header =
        matches!((place, key), (KeyPlace::Variable, "values" | "resolve") | (KeyPlace::Qualifier, "predicate"))
            || matches!((place, key), (KeyPlace::Resolve, "rule"));
    if written > 0 || has_header {
        return None;
    }
    let text = match key {
        "schema_version" => "schema_version = 1".to_owned(),
        _ => format!("{key} = "),
    };
    let explanation = place.explanation(key).map(str::to_owned);
    Some(Item::new(key, CompletionItemKind::Property).text(text).documentation(explanation))
}

fn header(header: &Header) -> Item {
    let keys = header.keys.join(".");
    let text = if header.is_list { format!("[[{keys}]]") } else { format!("[{keys}]") };
    let place = header.keys.split_last().and_then(|(last, before)| {
        let before: Vec<String> = before.iter().map(|key| (*key).to_owned()).collect();
        key_place(header.kind, &before)?.explanation(last)
    });
    Item::new(text, CompletionItemKind::Struct).documentation(place.map(str::to_owned))
}

/// Returns whether a header may be written once more: a table has one header.
fn may_follow(header: &Header, text: &str) -> bool {
    header.is_list || !text.lines().any(|line| line.trim() == format!("[{}]", header.keys.join(".")))
}

fn begins_line(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
}

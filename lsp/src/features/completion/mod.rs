//! Completion: the keys that a table may have, and the values that a key may have.

mod keys;
mod members;
mod values;

use gen_lsp_types as lsp;
use rototo_engine::DocumentKind;
use rototo_engine::parse::quoted;
use rototo_engine::text::Span;

use crate::cursor::{Place, cursor};
use crate::features::Site;
use crate::position::range_of;

/// The most items. Nobody reads more, and a client asks again as its user types on.
const MOST_ITEMS: usize = 1_000;

/// A proposal.
struct Item {
    /// The name that the client shows.
    label: String,
    kind: lsp::CompletionItemKind,
    /// A few words beside the name.
    detail: Option<String>,
    /// An explanation, as Markdown.
    documentation: Option<String>,
    /// The text that replaces the token at the cursor.
    text: String,
}

/// Returns the proposals at a place.
pub(crate) fn completion(site: Site<'_>) -> lsp::CompletionList {
    let proposed = proposals(site);
    let Some((token, items)) = proposed else { return lsp::CompletionList::default() };
    let bytes = site.workspace.bytes(site.path).unwrap_or_default();
    let typed = bytes.get(token.start..site.at.clamp(token.start, token.end)).unwrap_or_default();
    let typed = String::from_utf8_lossy(typed);
    let typed = typed.trim_matches(['"', '\'', '[']).to_lowercase();
    let range = range_of(bytes, token);
    let fits = |item: &Item| item.label.to_lowercase().contains(&typed);
    let is_long = items.len() > MOST_ITEMS;
    let items = items.into_iter().filter(|item| !is_long || fits(item)).take(MOST_ITEMS);
    let items = items.enumerate().map(|(number, item)| item.at(range, number)).collect();
    lsp::CompletionList { is_incomplete: is_long, items, ..lsp::CompletionList::default() }
}

/// Returns the token to replace, and the proposals for it.
fn proposals(site: Site<'_>) -> Option<(Span, Vec<Item>)> {
    let kind = DocumentKind::at(site.path)?;
    if matches!(kind, DocumentKind::Schema | DocumentKind::CustomLint) {
        return None;
    }
    let text = site.text()?;
    let found = cursor(text, site.at);
    let (of_format, mut items) = match &found.place {
        Place::Key(_) => (keys::keys(kind, text, &found), members::keys(site, &found)),
        Place::Header => (keys::headers_after(kind, &found.table), members::headers(site, &found)),
        Place::Value(key) => (values::values(site, kind, key, &found), members::values(site, key, &found)),
        Place::Other => return None,
    };
    items.extend(of_format);
    Some((found.token, items))
}

impl Item {
    fn new(label: impl Into<String>, kind: lsp::CompletionItemKind) -> Self {
        let label = label.into();
        Self { text: label.clone(), label, kind, detail: None, documentation: None }
    }

    /// Makes an item that is written as a text of TOML.
    fn quoted(label: impl Into<String>, kind: lsp::CompletionItemKind) -> Self {
        let label = label.into();
        Self { text: quoted(&label), ..Self::new(label, kind) }
    }

    fn text(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    fn detail(self, detail: Option<String>) -> Self {
        Self { detail, ..self }
    }

    fn documentation(self, documentation: Option<String>) -> Self {
        Self { documentation, ..self }
    }

    fn at(self, range: lsp::Range, number: usize) -> lsp::CompletionItem {
        let markdown = |value| lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value };
        lsp::CompletionItem {
            label: self.label,
            kind: Some(self.kind),
            detail: self.detail,
            documentation: self.documentation.map(|page| markdown(page).into()),
            // Clients compare it with the text of the range, which may begin with a quote.
            filter_text: Some(self.text.clone()),
            sort_text: Some(format!("{number:04}")),
            text_edit: Some(lsp::TextEdit { range, new_text: self.text }.into()),
            ..lsp::CompletionItem::default()
        }
    }
}

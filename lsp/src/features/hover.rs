//! Hover: the thing, the key, or the operator at a place, and the rules that have found something there.

use gen_lsp_types as lsp;
use rototo_engine::parse::{KeyPlace, Op, Primitive};
use rototo_engine::text::Span;
use rototo_engine::{DocumentKind, lint};

use crate::cursor::{Place, cursor};
use crate::features::{Site, key_place, layer, words};
use crate::position::range_of;

/// Returns the explanation of a place.
pub(crate) fn hover(site: Site<'_>) -> Option<lsp::Hover> {
    let subject = site.mention().map(|mention| (words::about(site.workspace, &mention.name), mention.span));
    let subject = subject.or_else(|| layer::at(site).map(|layer| layer.about())).or_else(|| of_key(site));
    let (mut page, span) = match (subject, rules_at(site)) {
        (None, None) => return None,
        (Some((page, span)), None) => (page, Some(span)),
        (None, Some(rules)) => (rules, None),
        (Some((page, span)), Some(rules)) => (format!("{page}\n---\n\n{rules}"), Some(span)),
    };
    page.truncate(page.trim_end().len());
    let range = span.and_then(|span| Some(range_of(site.workspace.bytes(site.path)?, span)));
    let contents = lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: page };
    Some(lsp::Hover { contents: contents.into(), range })
}

/// Returns the meaning of a key, or of an operator or a type after it.
fn of_key(site: Site<'_>) -> Option<(String, Span)> {
    let kind = DocumentKind::at(site.path)?;
    let text = site.text()?;
    let found = cursor(text, site.at);
    let written = text.get(found.token.start..found.token.end)?.trim_matches(['"', '\'']);
    let meaning = match &found.place {
        Place::Key(_) | Place::Header => key_place(kind, &found.table)?.explanation(written)?,
        Place::Value(key) => match (key_place(kind, &found.table)?, key.as_str()) {
            (KeyPlace::Predicate(_), "op") => Op::named(written)?.explanation(),
            (KeyPlace::Variable, "type") => Primitive::named(written)?.explanation(),
            _ => return None,
        },
        Place::Other => return None,
    };
    Some((format!("{}: {meaning}\n", words::code(written)), found.token))
}

/// Returns the reasons for which rules have found something at a place.
fn rules_at(site: Site<'_>) -> Option<String> {
    let mut reasons = Vec::new();
    for found in site.workspace.diagnostics().iter().filter(|found| found.location.path == site.path) {
        let Some(range) = &found.location.range else { continue };
        let is_there = range.bytes.start <= site.at && site.at <= range.bytes.end;
        if let Some(rule) = lint::rule(&found.rule).filter(|_| is_there) {
            reasons.push(format!("{}: {}. {}\n", words::code(rule.id), rule.title, rule.why.trim()));
        }
    }
    reasons.dedup();
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}

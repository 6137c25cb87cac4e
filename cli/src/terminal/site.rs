//! Renders pages of Markdown as a small site of plain HTML. Pure.

use std::collections::BTreeSet;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "body{max-width:50em;margin:2em auto;padding:0 1em;font:1em/1.5 sans-serif;color:#222}\
pre{overflow:auto;padding:.8em;background:#f4f4f4}code{font:.9em monospace}nav a{margin-right:1em}\
table{border-collapse:collapse}td,th{padding:.3em .6em;border:1px solid #ccc;text-align:left;vertical-align:top}";

/// One page: its name without an ending, and its Markdown.
pub(crate) type Page = (&'static str, &'static str);

/// Returns the page as a document, with the names of all pages above it. Links to their Markdown lead to their HTML.
pub(crate) fn page(title: &str, markdown: &str, all: &[Page]) -> String {
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| *name).collect();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, options).map(|event| relinked(event, &names)).collect();
    give_anchors(&mut events);
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    let links: String = all.iter().map(|(name, _)| format!("<a href=\"{name}.html\">{name}</a>")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<nav><a href=\"index.html\">index</a>{links}</nav>\n{body}</body>\n</html>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn relinked<'a>(event: Event<'a>, names: &BTreeSet<&str>) -> Event<'a> {
    match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = html_of(&dest_url, names).map_or(dest_url, CowStr::from);
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        other => other,
    }
}

/// Replaces `lint-rules.md#x` by `lint-rules.html#x`, if that is one of the pages.
fn html_of(link: &str, names: &BTreeSet<&str>) -> Option<String> {
    let (file, fragment) = link.split_once('#').map_or((link, None), |(file, fragment)| (file, Some(fragment)));
    let name = file.strip_suffix(".md").filter(|name| names.contains(name))?;
    Some(fragment.map_or_else(|| format!("{name}.html"), |fragment| format!("{name}.html#{fragment}")))
}

/// Gives headings the anchors that links on such pages use: their letters in lower case, with dashes for blanks.
fn give_anchors(events: &mut [Event<'_>]) {
    let (mut open, mut text) = (None, String::new());
    for place in 0..events.len() {
        match events.get(place) {
            Some(Event::Start(Tag::Heading { .. })) => (open, text) = (Some(place), String::new()),
            Some(Event::Text(part) | Event::Code(part)) => text.push_str(part),
            Some(Event::End(TagEnd::Heading(_))) => {
                let start = open.take().and_then(|open| events.get_mut(open));
                if let Some(Event::Start(Tag::Heading { id, .. })) = start {
                    *id = Some(anchor(&text).into());
                }
            }
            _ => {}
        }
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_each_other_and_to_their_headings() {
        let all = [("cli", ""), ("lint-rules", "")];
        let text = "# A & B\n\n[rules](lint-rules.md#rototoa-b) [other](other.md) <https://example.com>\n\n## \
            rototo/a-b `x`\n\n| a |\n|---|\n| `<b>` |\n";
        let html = page("A & B", text, &all);
        for part in [
            "<title>A &amp; B</title>",
            "href=\"lint-rules.html#rototoa-b\"",
            "href=\"other.md\"",
            "<h2 id=\"rototoa-b-x\">",
            "<td><code>&lt;b&gt;</code></td>",
            "<a href=\"cli.html\">cli</a>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }
}

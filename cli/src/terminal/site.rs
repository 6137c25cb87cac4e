//! Renders pages of Markdown as a small site of plain HTML. Pure.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "body{max-width:50em;margin:2em auto;padding:0 1em;font:1em/1.5 sans-serif;color:#222}\
pre{overflow:auto;padding:.8em;background:#f4f4f4}code{font:.9em monospace}nav a{margin-right:1em}\
table{border-collapse:collapse}td,th{padding:.3em .6em;border:1px solid #ccc;text-align:left;vertical-align:top}";

/// One page.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    /// Its name without an ending.
    pub(crate) name: &'a str,
    /// Its place in the repository, which links on it start from.
    pub(crate) path: &'a str,
    pub(crate) markdown: &'a str,
}

/// Returns the page as a document, with the names of all pages above it. Links to their Markdown lead to their HTML, and
/// of a link or an image that the site does not have, the text stays.
pub(crate) fn page(title: &str, page: &Page<'_>, all: &[Page<'_>]) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events = relinked(Parser::new_ext(page.markdown, options), page.path, all);
    give_anchors(&mut events);
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    let links: String = all.iter().map(|Page { name, .. }| format!("<a href=\"{name}.html\">{name}</a>")).collect();
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

/// Returns the parts of the page at `path` with links that work in the site.
fn relinked<'a>(events: impl Iterator<Item = Event<'a>>, path: &str, all: &[Page<'_>]) -> Vec<Event<'a>> {
    let mut is_dropped = false;
    let relink = |event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let target = target(&dest_url, path, all);
            is_dropped = target.is_none();
            target.map(|target| Event::Start(Tag::Link { link_type, dest_url: target.into(), title, id }))
        }
        Event::End(TagEnd::Link) if is_dropped => None,
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        other => Some(other),
    };
    events.filter_map(relink).collect()
}

/// Returns the target of a link on the page at `path`: `lint-rules.html#x` for `lint-rules.md#x`, and an address as it is.
/// `None` for a file that is no page.
fn target(link: &str, path: &str, all: &[Page<'_>]) -> Option<String> {
    if link.starts_with('#') || link.contains("://") {
        return Some(link.to_owned());
    }
    let (file, fragment) = link.find('#').map_or((link, ""), |start| link.split_at(start));
    let place = resolved(path, file);
    let page = all.iter().find(|page| page.path == place)?;
    Some(format!("{}.html{fragment}", page.name))
}

/// Returns the path of a file that the page at `path` names.
fn resolved(path: &str, file: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(file.split('/')).filter(|part| !matches!(*part, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
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

    fn page_at<'a>(path: &'a str, markdown: &'a str) -> Page<'a> {
        Page { name: path.trim_end_matches(".md"), path, markdown }
    }

    #[test]
    fn pages_link_to_each_other_and_to_their_headings() {
        let all = [page_at("cli.md", ""), page_at("lint-rules.md", "")];
        let text = "# A & B\n\n[rules](lint-rules.md#rototoa-b) [other](other.md) <https://example.com>\n\n## \
            rototo/a-b `x`\n\n| a |\n|---|\n| `<b>` |\n";
        let html = page("A & B", &page_at("a.md", text), &all);
        for part in [
            "<title>A &amp; B</title>",
            "<a href=\"lint-rules.html#rototoa-b\">rules</a> other <a href=\"https://example.com\">",
            "<h2 id=\"rototoa-b-x\">",
            "<td><code>&lt;b&gt;</code></td>",
            "<a href=\"cli.html\">cli</a>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn links_start_from_the_folder_of_their_page() {
        let conditions = Page { name: "conditions", path: "docs/reference/conditions.md", markdown: "" };
        let chart = Page { name: "chart", path: "charts/x/README.md", markdown: "" };
        let all = [Page { name: "cli", path: "docs/cli.md", markdown: "" }, conditions, chart];
        for (link, path, expected) in [
            ("reference/conditions.md#ready", "docs/cli.md", Some("conditions.html#ready")),
            ("../cli.md", "docs/reference/conditions.md", Some("cli.html")),
            ("./conditions.md", "docs/reference/conditions.md", Some("conditions.html")),
            ("../charts/x/README.md", "docs/cli.md", Some("chart.html")),
            ("../../docs/cli.md", "charts/x/README.md", Some("cli.html")),
            ("#here", "docs/cli.md", Some("#here")),
            ("conditions.md", "docs/cli.md", None),
            ("../crates", "docs/cli.md", None),
        ] {
            assert_eq!(target(link, path, &all).as_deref(), expected, "{link} on {path}");
        }
    }
}

//! The files of the page. They need no build, and load nothing from elsewhere.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// The name, type, and content of each file.
const FILES: [(&str, &str, &str); 7] = [
    ("index.html", "text/html; charset=utf-8", include_str!("../assets/index.html")),
    ("page.css", "text/css; charset=utf-8", include_str!("../assets/page.css")),
    ("main.js", SCRIPT, include_str!("../assets/main.js")),
    ("connection.js", SCRIPT, include_str!("../assets/connection.js")),
    ("elements.js", SCRIPT, include_str!("../assets/elements.js")),
    ("list.js", SCRIPT, include_str!("../assets/list.js")),
    ("workspace.js", SCRIPT, include_str!("../assets/workspace.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Returns a file.
pub(crate) fn answer(name: &str) -> Response {
    match FILES.into_iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, content)) => ([(CONTENT_TYPE, kind)], content).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_loads_anything_from_elsewhere_or_makes_markup_of_a_text() {
        for (file, _, content) in FILES {
            for forbidden in
                ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("]
            {
                assert!(!content.contains(forbidden), "{file} has {forbidden}");
            }
            assert!(!content.contains("style=\""), "{file} has a style that the content policy refuses");
        }
    }

    #[test]
    fn every_module_that_a_script_imports_is_served() {
        for (file, _, content) in FILES {
            for import in content.lines().filter_map(|line| line.split_once(" from \"./")?.1.strip_suffix("\";")) {
                assert!(FILES.iter().any(|(name, _, _)| *name == import), "{file} imports {import}");
            }
        }
    }
}

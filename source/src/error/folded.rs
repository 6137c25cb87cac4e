//! Text of another machine or program, made fit for an error: one line, bounded, and without what a terminal obeys.

use rototo_engine::text::is_disruptive;

/// The most characters of foreign text in an error.
const MAX_CHARS: usize = 600;

/// Returns the lines as one, separated by `; `. If the text is too long, the last lines stay, because a host names its
/// reason last.
pub(crate) fn folded<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut left = MAX_CHARS;
    for line in lines.rev().map(plain).filter(|line| !line.is_empty()) {
        let length = line.chars().count();
        if length > left {
            if kept.is_empty() {
                kept.push(line.chars().take(MAX_CHARS).chain(['…']).collect());
            }
            break;
        }
        left = left.saturating_sub(length.saturating_add(2));
        kept.push(line);
    }
    kept.reverse();
    kept.join("; ")
}

/// Returns a line without the sequences and characters that a terminal or a log viewer obeys, and with single spaces.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            // A control sequence ends with its first letter or similar sign.
            ('\u{1b}', Some('[')) | ('\u{9b}', _) => {
                characters.next_if_eq(&'[');
                characters.by_ref().find(|end| ('\u{40}'..='\u{7e}').contains(end));
            }
            // A command to the terminal, such as a title or a link, ends with BEL or ESC \.
            ('\u{1b}', Some(']' | 'P' | '_' | '^' | 'X')) => {
                characters.by_ref().find(|end| matches!(end, '\u{7}' | '\u{1b}' | '\u{9c}'));
                characters.next_if_eq(&'\\');
            }
            ('\u{1b}', _) => {}
            _ => text.push(if character.is_control() { ' ' } else { character }),
        }
    }
    text.retain(|character| !is_invisible(character));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether a character is not seen, and changes how others are: the direction of text, joiners, and the like.
fn is_invisible(character: char) -> bool {
    is_disruptive(character)
        || matches!(
            character,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (line, expected) in [
            ("\u{1b}[31mred\u{1b}[0m and\tplain", "red and plain"),
            ("\u{1b}]0;a title\u{7}after", "after"),
            ("\u{1b}]8;;https://h\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jcleared\u{1b}c", "clearedc"),
            ("a\u{202e}b\u{200b}c\u{feff}", "abc"),
            ("progress\r  done\u{8}\u{0}", "progress done"),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(plain(line), expected, "{line:?}");
        }
    }

    #[test]
    fn of_a_long_text_the_end_stays() {
        let banner = ["welcome, and read our rules"; 40];
        let text = folded(banner.into_iter().chain(["the reason"]));
        assert!(text.ends_with("rules; the reason") && text.chars().count() <= MAX_CHARS, "{text}");
        let long = "x".repeat(1 << 20);
        assert_eq!(folded([&*long].into_iter()).chars().count(), MAX_CHARS + 1);
        assert_eq!(folded(["", "a", "  "].into_iter()), "a");
    }
}

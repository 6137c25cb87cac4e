//! Names that repeat, and names that resemble a word.

/// Whether something comes twice. Asked first, as it almost never does.
pub(super) fn repeats<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.windows(2).any(|pair| matches!(pair, [one, two] if one == two))
}

/// A question after what may have been meant instead of `word`; empty if nothing is close, or if there are so many names
/// that looking through them for every mistake would cost more than it helps.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    const MANY: usize = 1_000;
    let tolerated = (word.len() / 3).min(3);
    let near = known.take(MANY).filter(|known| known.len().abs_diff(word.len()) <= tolerated);
    let near = near.map(|known| (distance(word, known), known)).filter(|(distance, _)| *distance <= tolerated);
    near.min().map_or_else(String::new, |(_, known)| format!("; is `{known}` meant?"))
}

/// How many characters must be added, removed, or replaced to make one word the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((right, pair), before) in right.iter().zip(row.windows(2)).zip(1..) {
            let (Some(diagonal), Some(up)) = (pair.first(), pair.last()) else { continue };
            let side = next.get(before - 1).copied().unwrap_or_default();
            next.push((side + 1).min(up + 1).min(diagonal + usize::from(left != *right)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

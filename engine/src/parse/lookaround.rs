//! The cost of a pattern with lookaround or backreferences, which only a backtracking matcher can match.

/// The form of such a pattern, as far as its cost depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookaround {
    /// The number of lookarounds and backreferences; those in a part that is repeated a counted number of times count as
    /// often.
    count: u64,
    /// The greatest number of lookarounds within each other.
    depth: u32,
    /// True if one of them is in a part that is repeated.
    repeated: bool,
}

/// The units of work of one step of the matcher: about 40 ns.
const STEP: u64 = 4;

/// The bytes of a string that a lookaround reads for one unit of work.
const READ: u64 = 4;

/// A group that is open.
#[derive(Default)]
struct Group {
    is_lookaround: bool,
    /// The lookarounds within the group.
    count: u64,
}

impl Lookaround {
    /// Returns the form of a pattern; `None` if it surely needs no backtracking.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let mut found = Self { count: 0, depth: 0, repeated: false };
        let (mut open, mut depth) = (vec![Group::default()], 0_u32);
        let mut rest = pattern.chars().peekable();
        // A comment, which only `(?…` can begin, may hold a bracket that begins no class.
        let plain = pattern.split("(?").skip(1).all(|group| group.starts_with(':'));
        let mut in_class = false;
        // The lookarounds in the part before, to which a quantifier applies.
        let (mut last, mut after_quantifier) = (0_u64, false);
        while let Some(next) = rest.next() {
            let (mut own, mut quantifier) = (0, false);
            match next {
                '\\' if rest.next().is_some_and(|next| matches!(next, '1'..='9' | 'k' | 'g' | 'G' | 'K')) => own = 1,
                '\\' => {}
                '[' => in_class = plain,
                ']' => in_class = false,
                '(' => {
                    let is_lookaround = rest.next_if_eq(&'?').is_some() && is_lookaround(&mut rest);
                    depth += u32::from(is_lookaround);
                    found.depth = found.depth.max(depth);
                    open.push(Group { is_lookaround, count: u64::from(is_lookaround) });
                    (last, after_quantifier) = (0, false);
                    continue;
                }
                ')' if open.len() > 1 => {
                    let group = open.pop().unwrap_or_default();
                    depth -= u32::from(group.is_lookaround);
                    own = group.count;
                }
                // A possessive quantifier keeps no way back, as a lookaround does.
                '+' if after_quantifier && !in_class => own = 1,
                '*' | '+' | '?' | '{' => {
                    quantifier = true;
                    found.repeated |= last > 0 && next != '?';
                    let times = if next == '{' { most_times(&mut rest) } else { 1 };
                    own = last.saturating_mul(times.saturating_sub(1));
                }
                _ => {}
            }
            if let Some(group) = open.last_mut() {
                group.count = group.count.saturating_add(own);
            }
            if !quantifier {
                last = own;
            }
            after_quantifier = quantifier;
        }
        found.count = open.iter().fold(0, |sum: u64, group| sum.saturating_add(group.count));
        found.depth = found.depth.max(1);
        (found.count > 0).then_some(found)
    }

    /// Returns the most work that matching a string takes, of that many bytes and with that many backtracking steps.
    ///
    /// Each step may begin every lookaround, each lookaround may read the rest of the string, and one within another may
    /// do so at each place. A lookaround that is not repeated begins only after a backtracking step.
    pub(super) fn work(self, bytes: usize, backtracks: u64) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let within = (1..self.depth).fold(1, |product: u64, _| product.saturating_mul(bytes.saturating_add(1)));
        let read = self.count.saturating_mul(bytes / READ).saturating_mul(within);
        let reading = if self.repeated { backtracks.saturating_add(bytes) } else { backtracks };
        let steps = backtracks.saturating_add(bytes).saturating_mul(STEP);
        steps.saturating_add(reading.saturating_mul(read))
    }
}

/// Returns whether `(?` begins a lookaround, or another group that a backtracking matcher alone knows.
fn is_lookaround(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    match rest.next() {
        Some('=' | '!' | '>' | '(' | '~' | '|') => true,
        Some('<') => rest.next_if(|next| matches!(next, '=' | '!')).is_some(),
        _ => false,
    }
}

/// Returns the larger number of `2}` or `2,3}`; consumes its digits.
fn most_times(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> u64 {
    let (mut most, mut number) = (1, 0_u64);
    while let Some(next) = rest.next_if(|next| next.is_ascii_digit() || matches!(next, ',' | ' ')) {
        number = match next.to_digit(10) {
            Some(digit) => number.saturating_mul(10).saturating_add(u64::from(digit)),
            None => 0,
        };
        most = most.max(number);
    }
    rest.next_if_eq(&'}');
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: Option<(u64, u32, bool)>) {
        let found = Lookaround::of(pattern).map(|found| (found.count, found.depth, found.repeated));
        assert_eq!(found, expected, "{pattern}");
    }

    #[test]
    fn only_patterns_that_backtrack_have_the_cost_of_one() {
        for plain in ["^a+$", r"^(?:a|b)*\d{3}?\.\(\?=x", "(?i)x", "(?<name>a)", "(?P<name>a)+", "a+?b??c*?", ")("] {
            check(plain, None);
        }
        check(r"^(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,64}$", Some((2, 1, false)));
        check(r"^(?!-)[a-z-]+(?<!-)$", Some((2, 1, false)));
        check(r"^((?!--)[a-z-])*$", Some((1, 1, true)));
        check(r"^(?:a(?=.)|a(?=.))*b$", Some((2, 1, true)));
        check(r"(?:(?=.*b)(?=.*c)){2,500}", Some((1_000, 1, true)));
        check(r"(?=(?:a(?=.*!))*)c", Some((2, 2, true)));
        check(r"(a)\1", Some((1, 1, false)));
        check("a++b", Some((1, 1, false)));
        check("(?>a)", Some((1, 1, false)));
        check(r"[a*+](?:b)[\]*+]", None);
        check(r"[a]b*+", Some((1, 1, false)));
        check(r"\[b*+]", Some((1, 1, false)));
        check("(?x)#[\nb*+]", Some((1, 1, false)));
        check("(?#[)b*+]", Some((1, 1, false)));
    }

    #[test]
    fn the_work_grows_with_what_a_match_may_read() {
        let work = |pattern: &str, bytes| Lookaround::of(pattern).unwrap().work(bytes, 100);
        assert!(work(r"^(?=.*[A-Z])[A-Z]+$", 20) < 2_000);
        // As many places as bytes, at each of which the rest is read.
        assert!(work(r"^(?:a(?=.*!))*$", 1 << 20) > 1 << 37);
        assert!(work(r"(?=(?:a(?=.*!))*)c", 1_000) > 100 * work(r"^(?:a(?=.*!))*$", 1_000));
        assert_eq!(work(r"(?=(?=(?=(?=(?=(?=(?=a))))*)*)*)", usize::MAX), u64::MAX);
    }
}

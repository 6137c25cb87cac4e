//! Lua's patterns, with each step counted. The implementation in Lua's own library can run for hours on a short text,
//! and nothing can interrupt it.

/// The most nested items and repetitions. Lua's own limit is the same.
const MAX_DEPTH: usize = 200;

/// The most captures of a match. Lua's own limit is the same.
const MAX_CAPTURES: usize = 32;

/// The reason for which a pattern gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    /// The pattern is invalid.
    Malformed(&'static str),
    /// The match needs more steps than remain.
    Exhausted,
}

/// A parsed pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    items: Vec<PatternItem>,
    /// True if the pattern begins with `^`.
    pub(super) anchored: bool,
}

/// A capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// The bytes from one position up to another.
    Text(usize, usize),
    /// `()`: a position.
    Place(usize),
    /// A capture that is not closed yet.
    Open(usize),
}

/// A match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PatternMatch {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) captures: Vec<Capture>,
}

#[derive(Debug)]
enum PatternItem {
    /// `(`
    Open,
    /// `()`
    Place,
    /// `)`, with the number of the capture that it closes
    Close(usize),
    /// `%b()`
    Balanced(u8, u8),
    /// `%f[set]`
    Frontier(Set),
    /// `%1`
    Again(usize),
    /// `$` at the end
    End,
    /// A number of bytes of a set.
    Bytes(Set, Times),
}

/// The number of times that a set of bytes may repeat.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Times {
    Once,
    /// `?`: once or not at all.
    Maybe,
    /// `*`: as often as possible, or not at all.
    Most,
    /// `+`: as often as possible, and at least once.
    MostOfSome,
    /// `-`: as seldom as possible, or not at all.
    Fewest,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    fn add_all(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    fn others(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    fn of(belongs: impl Fn(u8) -> bool) -> Self {
        let mut set = Self::default();
        (0..=u8::MAX).filter(|byte| belongs(*byte)).for_each(|byte| set.add(byte));
        set
    }

    /// Returns the set for `%` and this letter.
    fn class(letter: u8) -> Self {
        let set = match letter.to_ascii_lowercase() {
            b'a' => Self::of(|byte| byte.is_ascii_alphabetic()),
            b'c' => Self::of(|byte| byte.is_ascii_control()),
            b'd' => Self::of(|byte| byte.is_ascii_digit()),
            b'g' => Self::of(|byte| byte.is_ascii_graphic()),
            b'l' => Self::of(|byte| byte.is_ascii_lowercase()),
            b'p' => Self::of(|byte| byte.is_ascii_punctuation()),
            b's' => Self::of(|byte| byte.is_ascii_whitespace() || byte == 0x0B),
            b'u' => Self::of(|byte| byte.is_ascii_uppercase()),
            b'w' => Self::of(|byte| byte.is_ascii_alphanumeric()),
            b'x' => Self::of(|byte| byte.is_ascii_hexdigit()),
            _ => return Self::of(|byte| byte == letter),
        };
        if letter.is_ascii_uppercase() { set.others() } else { set }
    }
}

/// Parses a pattern byte by byte.
struct PatternParser<'p> {
    rest: &'p [u8],
    /// The open captures, and the number of all captures.
    open: Vec<usize>,
    captures: usize,
}

impl Pattern {
    /// Parses a pattern. A leading `^` is an anchor only if `anchors` is true.
    pub(super) fn read(text: &[u8], anchors: bool) -> Result<Self, PatternError> {
        let anchored = anchors && text.first() == Some(&b'^');
        let mut read = PatternParser {
            rest: text.get(usize::from(anchored)..).unwrap_or_default(),
            open: Vec::new(),
            captures: 0,
        };
        let mut items = Vec::new();
        while let Some(item) = read.item()? {
            items.push(item);
        }
        if read.open.is_empty() {
            Ok(Self { items, anchored })
        } else {
            Err(PatternError::Malformed("unfinished capture"))
        }
    }

    /// Returns the first match that begins at `from` or, unless the pattern is anchored, after it, and that does not
    /// end at `but`.
    pub(super) fn find(
        &self,
        text: &[u8],
        from: usize,
        but: Option<usize>,
        steps: &mut u64,
    ) -> Result<Option<PatternMatch>, PatternError> {
        let last = if self.anchored { from } else { text.len() };
        for start in from..=last {
            let mut attempt = MatchAttempt { text, captures: Vec::new(), steps };
            let end = attempt.fits(&self.items, start, 0)?;
            if let Some(end) = end.filter(|end| Some(*end) != but) {
                return Ok(Some(PatternMatch { start, end, captures: attempt.captures }));
            }
        }
        Ok(None)
    }
}

impl PatternParser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.rest.first() == Some(&byte);
        if is {
            self.next();
        }
        is
    }

    fn item(&mut self) -> Result<Option<PatternItem>, PatternError> {
        let Some(byte) = self.next() else { return Ok(None) };
        let set = match byte {
            b'(' => return self.capture().map(Some),
            b')' => {
                let closed = self.open.pop().ok_or(PatternError::Malformed("invalid pattern capture"))?;
                return Ok(Some(PatternItem::Close(closed)));
            }
            b'$' if self.rest.is_empty() => return Ok(Some(PatternItem::End)),
            b'%' => match self.next().ok_or(PatternError::Malformed("malformed pattern (ends with '%')"))? {
                b'b' => {
                    let missing = PatternError::Malformed("missing arguments to '%b'");
                    let (open, close) = (self.next().ok_or(missing)?, self.next().ok_or(missing)?);
                    return Ok(Some(PatternItem::Balanced(open, close)));
                }
                b'f' if self.next_is(b'[') => return Ok(Some(PatternItem::Frontier(self.set()?))),
                b'f' => return Err(PatternError::Malformed("missing '[' after '%f' in pattern")),
                digit @ b'0'..=b'9' => {
                    let number = usize::from(digit - b'0');
                    let known = (1..=self.captures).contains(&number) && !self.open.contains(&(number - 1));
                    return if known {
                        Ok(Some(PatternItem::Again(number - 1)))
                    } else {
                        Err(PatternError::Malformed("invalid capture index"))
                    };
                }
                letter => Set::class(letter),
            },
            b'[' => self.set()?,
            b'.' => Set::default().others(),
            byte => Set::of(|other| other == byte),
        };
        let times = match self.rest.first() {
            Some(b'?') => Times::Maybe,
            Some(b'*') => Times::Most,
            Some(b'+') => Times::MostOfSome,
            Some(b'-') => Times::Fewest,
            _ => return Ok(Some(PatternItem::Bytes(set, Times::Once))),
        };
        self.next();
        Ok(Some(PatternItem::Bytes(set, times)))
    }

    fn capture(&mut self) -> Result<PatternItem, PatternError> {
        if self.captures == MAX_CAPTURES {
            return Err(PatternError::Malformed("too many captures"));
        }
        self.captures += 1;
        if self.next_is(b')') {
            return Ok(PatternItem::Place);
        }
        self.open.push(self.captures - 1);
        Ok(PatternItem::Open)
    }

    /// Parses the set between `[` and `]`. A `]` in first position is literal.
    fn set(&mut self) -> Result<Set, PatternError> {
        const UNFINISHED: PatternError = PatternError::Malformed("malformed pattern (missing ']')");
        let others = self.next_is(b'^');
        let mut set = Set::default();
        let mut first = true;
        loop {
            match self.next().ok_or(UNFINISHED)? {
                b']' if !first => break,
                b'%' => set.add_all(Set::class(self.next().ok_or(UNFINISHED)?)),
                from => match *self.rest {
                    [b'-', to, ..] if to != b']' => {
                        self.next();
                        self.next();
                        set.add_all(Set::of(|byte| (from..=to).contains(&byte)));
                    }
                    _ => set.add(from),
                },
            }
            first = false;
        }
        Ok(if others { set.others() } else { set })
    }
}

/// One attempt to match a pattern at one position.
struct MatchAttempt<'t, 's> {
    text: &'t [u8],
    captures: Vec<Capture>,
    steps: &'s mut u64,
}

impl MatchAttempt<'_, '_> {
    fn step(&mut self) -> Result<(), PatternError> {
        *self.steps = self.steps.checked_sub(1).ok_or(PatternError::Exhausted)?;
        Ok(())
    }

    fn is_in(&mut self, set: &Set, at: usize) -> Result<bool, PatternError> {
        self.step()?;
        Ok(self.text.get(at).is_some_and(|byte| set.has(*byte)))
    }

    /// Returns the end of the match of all `items`, if they match from `at` on. After a failure, the captures are as
    /// they were before the call.
    fn fits(&mut self, items: &[PatternItem], mut at: usize, depth: usize) -> Result<Option<usize>, PatternError> {
        if depth > MAX_DEPTH {
            return Err(PatternError::Malformed("pattern too complex"));
        }
        let mut items = items.iter();
        while let Some(item) = items.next() {
            self.step()?;
            let rest = items.as_slice();
            match item {
                PatternItem::Open | PatternItem::Place => {
                    let new = if matches!(item, PatternItem::Open) { Capture::Open(at) } else { Capture::Place(at) };
                    self.captures.push(new);
                    let end = self.fits(rest, at, depth + 1)?;
                    if end.is_none() {
                        self.captures.pop();
                    }
                    return Ok(end);
                }
                PatternItem::Close(number) => {
                    let Some(Capture::Open(from)) = self.captures.get(*number).copied() else { return Ok(None) };
                    self.set_capture(*number, Capture::Text(from, at));
                    let end = self.fits(rest, at, depth + 1)?;
                    if end.is_none() {
                        self.set_capture(*number, Capture::Open(from));
                    }
                    return Ok(end);
                }
                PatternItem::End if at == self.text.len() => {}
                PatternItem::End => return Ok(None),
                PatternItem::Balanced(open, close) => match self.balanced(at, *open, *close)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                },
                PatternItem::Frontier(set) => {
                    let byte = |at: Option<usize>| at.and_then(|at| self.text.get(at)).copied().unwrap_or(0);
                    if set.has(byte(at.checked_sub(1))) || !set.has(byte(Some(at))) {
                        return Ok(None);
                    }
                }
                PatternItem::Again(number) => match self.again(*number, at)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                },
                PatternItem::Bytes(set, Times::Once) => {
                    if !self.is_in(set, at)? {
                        return Ok(None);
                    }
                    at += 1;
                }
                PatternItem::Bytes(set, Times::Maybe) => {
                    if self.is_in(set, at)?
                        && let Some(end) = self.fits(rest, at + 1, depth + 1)?
                    {
                        return Ok(Some(end));
                    }
                }
                PatternItem::Bytes(set, Times::Fewest) => loop {
                    if let Some(end) = self.fits(rest, at, depth + 1)? {
                        return Ok(Some(end));
                    }
                    if !self.is_in(set, at)? {
                        return Ok(None);
                    }
                    at += 1;
                },
                PatternItem::Bytes(set, times) => {
                    return self.most(set, at + usize::from(*times == Times::MostOfSome), at, rest, depth);
                }
            }
        }
        Ok(Some(at))
    }

    /// Matches as many bytes of a set as possible, or fewer, but at least `least`.
    fn most(
        &mut self,
        set: &Set,
        least: usize,
        from: usize,
        rest: &[PatternItem],
        depth: usize,
    ) -> Result<Option<usize>, PatternError> {
        let mut end = from;
        while self.is_in(set, end)? {
            end += 1;
        }
        while end >= least {
            if let Some(end) = self.fits(rest, end, depth + 1)? {
                return Ok(Some(end));
            }
            let Some(before) = end.checked_sub(1) else { break };
            end = before;
        }
        Ok(None)
    }

    fn balanced(&mut self, from: usize, open: u8, close: u8) -> Result<Option<usize>, PatternError> {
        if self.text.get(from) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        let mut at = from + 1;
        while let Some(byte) = self.text.get(at).copied() {
            self.step()?;
            at += 1;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn again(&mut self, number: usize, at: usize) -> Result<Option<usize>, PatternError> {
        let Some(Capture::Text(from, to)) = self.captures.get(number).copied() else {
            return Err(PatternError::Malformed("invalid capture index"));
        };
        let (needle, rest) = (self.text.get(from..to).unwrap_or_default(), self.text.get(at..).unwrap_or_default());
        let cost = u64::try_from(needle.len()).unwrap_or(u64::MAX);
        *self.steps = self.steps.checked_sub(cost).ok_or(PatternError::Exhausted)?;
        Ok(rest.starts_with(needle).then_some(at + (to - from)))
    }

    fn set_capture(&mut self, number: usize, capture: Capture) {
        if let Some(known) = self.captures.get_mut(number) {
            *known = capture;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, pattern: &str) -> Option<(usize, usize, Vec<Capture>)> {
        let found = Pattern::read(pattern.as_bytes(), true).unwrap().find(text.as_bytes(), 0, None, &mut 100_000);
        found.unwrap().map(|found| (found.start, found.end, found.captures))
    }

    #[test]
    fn an_invalid_pattern_has_a_reason() {
        for (pattern, why) in [
            ("%", "ends with"),
            ("[a", "missing ']'"),
            ("(a", "unfinished"),
            ("a)", "invalid pattern capture"),
            ("%1", "invalid capture index"),
            ("(%1)", "invalid capture index"),
            ("%b(", "%b"),
            ("%fa", "%f"),
        ] {
            let failure = Pattern::read(pattern.as_bytes(), true).err();
            assert!(
                matches!(failure, Some(PatternError::Malformed(said)) if said.contains(why)),
                "{pattern}: {failure:?}"
            );
        }
    }

    #[test]
    fn captures_are_restored_when_a_branch_fails() {
        assert_eq!(
            find("key = value", "(%w+)%s*=%s*(%w+)"),
            Some((0, 11, vec![Capture::Text(0, 3), Capture::Text(6, 11)]))
        );
        assert_eq!(find("aXb", "()X()"), Some((1, 2, vec![Capture::Place(1), Capture::Place(2)])));
        assert_eq!(find("aab", "(a-)%1b"), Some((0, 3, vec![Capture::Text(0, 1)])));
        assert_eq!(find("THE (quick) fox", "%f[%a]%a+%f[%A]"), Some((0, 3, Vec::new())));
        assert_eq!(find("f(a(b)c)d", "%b()"), Some((1, 8, Vec::new())));
        assert_eq!(find("a]b", "[]]"), Some((1, 2, Vec::new())));
        assert_eq!(find("x-1", "[a%-]"), Some((1, 2, Vec::new())));
    }

    #[test]
    fn catastrophic_backtracking_ends_when_the_steps_are_spent() {
        let text = "a".repeat(40);
        let pattern = Pattern::read(format!("{}b", "a*".repeat(30)).as_bytes(), true).unwrap();
        assert_eq!(pattern.find(text.as_bytes(), 0, None, &mut 1_000_000), Err(PatternError::Exhausted));
        let deep = Pattern::read("a?".repeat(300).as_bytes(), true).unwrap();
        assert!(deep.find("a".repeat(300).as_bytes(), 0, None, &mut 1_000_000).is_err());
    }
}

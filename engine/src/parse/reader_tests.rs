//! The reader and the `toml` crate read every plain document alike, and usual documents are plain.

use crate::parse::reader::read;
use crate::parse::toml::read_all;

/// Pieces from which documents are built: plain or not, valid or not.
const PIECES: &[&str] = &[
    "schema_version = 1\n",
    "description = \"x\"\n",
    "a = 'lit'\n",
    "\"q k\" = true\n",
    "b = 0x1F\n",
    "c = 1_000\n",
    "d = -1.5e3\n",
    "e = inf\n",
    "f = 2026-01-01\n",
    "g = [1, \"two\", [3], {h = 4}]\n",
    "i = {j = 1, k = {l = [ ]}}\n",
    "m.n = 1\n",
    "m = 2\n",
    "[values]\n",
    "[resolve]\n",
    "[resolve.more]\n",
    "[[resolve.rule]]\n",
    "[[predicate]]\n",
    "[predicate]\n",
    "[a]\n",
    "[a.b]\n",
    "[a.b.c]\n",
    "[i]\n",
    "[[g]]\n",
    "[i.j]\n",
    "# comment\n",
    "# bad \u{7f}\n",
    "\r\n",
    "\r",
    "\n",
    "  ",
    "o = \"\"\"\nmany\nlines\"\"\"\n",
    "p = '''x'''\n",
    "q = \"\\u00e9\\n\"\n",
    "r = \"\\x\"\n",
    "s = \n",
    "t\n",
    "u = [1,\n# c\n 2,]\n",
    "v = {w = 1,}\n",
    "x = 99999999999999999999\n",
    "\"\" = 1\n",
    "y = 1 # c\n",
    "af = 0.5\n",
    "ag = -12\n",
    "ah = -0\n",
    "ai = [ 1 , 2 , ]\n",
    "aj = [[1, 2], [\"x\"]]\n",
    "ak = \"\"\n",
    "al = \"\"\"\"\"\"\n",
    "am = [1 2]\n",
    "an = truex\n",
    "ao = 1.\n",
    "ap = [,]\n",
    "aq=1\n",
    "ar = \"é # \" # é\n",
    "as = 1e5\n",
    "at = 0.5.1\n",
    "[[a.b]]\n",
    "[[resolve]]\n",
    "au = 1 2\n",
    "av = 1979-05-27\n",
    "aw = 07:32:00\n",
    "ax = \"tab\there\"\n",
    "\t[values]\t# c\n",
    "ay = false#c\n",
    "az = 01\n",
    "[a]]\n",
    "[[a]\n",
    "\u{feff}",
    "ba = 123456789012345678\n",
    "bb = 1234567890123456789\n",
    "z = true\n",
    "[ z ]\n",
    "[[ \"q k\" ]]\n",
    "[]\n",
    "= 1\n",
    "aa = +7\n",
    "ab = 007\n",
    "ac = {ad.ae = 1}\n",
    "[resolve",
    "é = 1\n",
];

/// Pseudo-random numbers, the same each time.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    }
}

#[test]
fn what_is_read_is_what_the_whole_language_means() {
    let plain_pieces: Vec<&str> = PIECES.iter().copied().filter(|piece| read(piece).is_some()).collect();
    let (mut plain, mut other) = (0, 0);
    for seed in 0..40_000 {
        let mut below = numbers(seed);
        let pieces = if seed % 2 == 0 { PIECES } else { &plain_pieces };
        let mut text: String = (0..=below(8)).map(|_| pieces[below(pieces.len())]).collect();
        if below(4) == 0 {
            let cut = below(text.len() + 1);
            text.truncate((0..=cut).rev().find(|at| text.is_char_boundary(*at)).unwrap());
        }
        match read(&text) {
            Some(root) => {
                plain += 1;
                assert_eq!(Ok(root), read_all(&text), "{text:?}");
            }
            None => other += 1,
        }
    }
    assert!(plain > 10_000 && other > 10_000, "{plain} {other}");
}

#[test]
fn usual_documents_are_plain() {
    for text in [
        "schema_version = 1\n",
        "schema_version = 1\ntype = \"int\"\n\n[values]\na = 1\nb = 2\n\n[resolve]\ndefault = \"a\"\n\n[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n\n[[resolve.rule]]\nqualifier = \"r\"\nvalue = \"a\"\n",
        "[[predicate]]\nattribute = \"a.b\"\nop = \"in\"\nvalue = [\"x\", \"y\"]\n\n[[predicate]]\nrange = [0, 5000]\n",
        "limit = 1\n[deep]\nenabled = true\nratio = 0.5\n[deep.er]\ntags = [\"a\", \"b\"]\n",
    ] {
        assert!(read(text).is_some(), "{text}");
    }
}

#[test]
fn what_nests_deeply_is_left_to_others() {
    assert!(read(&format!("a = {}", "[".repeat(100_000))).is_none());
    assert!(read(&format!("a = {}{}", "[".repeat(100), "]".repeat(100))).is_none());
}

//! Words that come again and again, kept for ever: a span then has them without a copy of its own, which
//! another thread would have to free.

use crate::home;
use hashbrown::{Equivalent, HashMap};
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::{LazyLock, RwLock};

/// How many are kept, and of what length: what lies beyond is copied each time.
const KEPT: usize = 2_000;
const LONGEST: usize = 256;

/// Hosts are kept apart: strangers choose by which name they call a server, and must not fill the room of
/// routes.
#[cfg(feature = "_http")]
const HOSTS_KEPT: usize = 200;

struct Word {
    first: &'static str,
    /// `first`, a space and the rest, or the rest alone.
    text: &'static str,
    rest: &'static str,
    /// Of the rest.
    ends: Option<Ends>,
}

#[derive(PartialEq, Eq, Hash)]
struct Joined {
    first: &'static str,
    rest: &'static str,
}

#[derive(Hash)]
struct Asked<'a> {
    first: &'static str,
    rest: &'a str,
}

impl Equivalent<Joined> for Asked<'_> {
    fn equivalent(&self, known: &Joined) -> bool {
        self.first == known.first && *self.rest == *known.rest
    }
}

struct Words {
    known: LazyLock<RwLock<HashMap<Joined, &'static Word>>>,
    most: usize,
}

static WORDS: Words = Words::new(KEPT);
#[cfg(feature = "_http")]
static HOSTS: Words = Words::new(HOSTS_KEPT);

/// How many words a thread finds without the lock, whose count of readers all threads write.
const NEAR: usize = 64;

thread_local! {
    static NEARBY: [Cell<Option<&'static Word>>; NEAR] = const { [const { Cell::new(None) }; NEAR] };
}

/// The first and the last eight bytes of a text.
type Ends = (u64, u64);

fn ends(text: &str) -> Option<Ends> {
    let (begin, end) = (text.as_bytes().first_chunk()?, text.as_bytes().last_chunk()?);
    Some((u64::from_le_bytes(*begin), u64::from_le_bytes(*end)))
}

/// A place among [`NEAR`], by length, begin and end; it need not be its own.
fn place(first: &str, rest: &str, ends: Option<Ends>) -> usize {
    const SPREAD: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = (first.len() << 16 | rest.len()) as u64;
    let mut mix = |part: u64| hash = (hash.rotate_left(5) ^ part).wrapping_mul(SPREAD);
    match ends {
        Some((begin, end)) => {
            mix(begin);
            mix(end);
        }
        None => rest.bytes().for_each(|byte| mix(u64::from(byte))),
    }
    (hash >> 58) as usize % NEAR
}

impl Word {
    /// Whether it is this one. Of most texts the ends say all, and nothing else is read: a host was just written, letter
    /// by letter, and who reads it in longer pieces waits until all stores before are done.
    fn is(&self, first: &'static str, rest: &str, ends: Option<Ends>) -> bool {
        let is_rest = match rest.len() {
            8..=16 => self.rest.len() == rest.len() && self.ends == ends,
            _ => self.rest == rest,
        };
        is_rest && (std::ptr::eq(self.first, first) || self.first == first)
    }
}

impl Words {
    const fn new(most: usize) -> Self {
        Words { known: LazyLock::new(RwLock::default), most }
    }

    /// The word, unless it is too long to be kept, or no room is left.
    fn find(&self, first: &'static str, rest: &str) -> Option<&'static Word> {
        if rest.len() > LONGEST {
            return None;
        }
        let ends = ends(rest);
        let place = place(first, rest, ends);
        let near = NEARBY.with(|nearby| nearby[place].get());
        if let Some(near) = near.filter(|near| near.is(first, rest, ends)) {
            return Some(near);
        }
        let word = self.known(first, rest)?;
        NEARBY.with(|nearby| nearby[place].set(Some(word)));
        Some(word)
    }

    #[cold]
    fn known(&self, first: &'static str, rest: &str) -> Option<&'static Word> {
        let known = home::read(&self.known)?;
        if let Some(known) = known.get(&Asked { first, rest }) {
            return Some(known);
        }
        if known.len() >= self.most {
            return None;
        }
        drop(known);
        let mut known = home::write(&self.known)?;
        // Meanwhile another thread may have come here for the same.
        if let Some(known) = known.get(&Asked { first, rest }) {
            return Some(known);
        }
        if known.len() >= self.most {
            return None;
        }
        let text = if first.is_empty() { rest.to_owned() } else { format!("{first} {rest}") };
        let text: &'static str = Box::leak(text.into_boxed_str());
        let rest = &text[text.len() - rest.len()..];
        let word: &'static Word = Box::leak(Box::new(Word { first, text, rest, ends: ends(rest) }));
        known.insert(Joined { first, rest }, word);
        Some(word)
    }
}

/// `first` and `rest` with a space between them, and `rest` by itself.
#[cfg(feature = "_http")]
pub(super) fn joined(first: &'static str, rest: &str) -> (Cow<'static, str>, Cow<'static, str>) {
    match WORDS.find(first, rest) {
        Some(word) => (Cow::Borrowed(word.text), Cow::Borrowed(word.rest)),
        None => (Cow::Owned(format!("{first} {rest}")), Cow::Owned(rest.to_owned())),
    }
}

/// One word.
#[cfg(any(feature = "sqlx", feature = "tower"))]
pub(super) fn word(text: &str) -> Cow<'static, str> {
    WORDS.find("", text).map_or_else(|| Cow::Owned(text.to_owned()), |word| word.text.into())
}

/// The name of a host.
#[cfg(feature = "_http")]
pub(super) fn host(name: &str) -> Cow<'static, str> {
    HOSTS.find("", name).map_or_else(|| Cow::Owned(name.to_owned()), |word| word.text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(feature = "sqlx", feature = "tower"))]
    #[test]
    fn a_word_is_kept_once_and_a_long_one_never() {
        let (Cow::Borrowed(first), Cow::Borrowed(again)) = (word("interned"), word("interned"))
        else {
            panic!("it is kept");
        };
        assert_eq!(first, "interned");
        assert!(std::ptr::eq(first, again));
        let elsewhere = std::thread::spawn(|| word("interned")).join().unwrap();
        assert!(matches!(elsewhere, Cow::Borrowed(there) if std::ptr::eq(first, there)));
        let long = "x".repeat(LONGEST + 1);
        assert!(matches!(word(&long), Cow::Owned(same) if same == long));
    }

    #[cfg(feature = "_http")]
    #[test]
    fn a_name_and_its_end_are_one_word() {
        let (name, route) = joined("GET", "/interned/{id}");
        assert_eq!((&*name, &*route), ("GET /interned/{id}", "/interned/{id}"));
        let (Cow::Borrowed(name), Cow::Borrowed(again)) = (name, joined("GET", "/interned/{id}").0)
        else {
            panic!("it is kept");
        };
        assert!(std::ptr::eq(name, again));
        assert_eq!(joined("PUT", "/interned/{id}").0, "PUT /interned/{id}");
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(joined("GET", &long), (format!("GET {long}").into(), long.into()));
    }

    #[cfg(any(feature = "sqlx", feature = "tower"))]
    #[test]
    fn words_that_begin_and_end_alike_are_different_ones() {
        for [one, other] in [
            ["alike____one____alike", "alike____two____alike"],
            ["alike_1_alike", "alike_2_alike"],
            ["alike", "alik_"],
        ] {
            for _ in 0..2 {
                assert_eq!((word(one), word(other)), (one.into(), other.into()));
            }
        }
    }

    #[cfg(feature = "_http")]
    #[test]
    fn hosts_that_strangers_name_are_kept_up_to_a_number() {
        for number in 0..=HOSTS_KEPT {
            let name = format!("host-{number}.example");
            assert_eq!(host(&name), name);
        }
        assert!(matches!(host("one-more.example"), Cow::Owned(_)));
        assert!(matches!(joined("GET", "one-more.example").0, Cow::Borrowed(_)));
    }
}

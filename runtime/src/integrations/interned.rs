//! Words that come again and again, kept for ever: a span then has them without a copy of its own, which
//! another thread would have to free.

use hashbrown::{Equivalent, HashMap};
use std::borrow::Cow;
use std::sync::{LazyLock, PoisonError, RwLock};

/// How many are kept, and of what length: what lies beyond is copied each time.
const KEPT: usize = 2_000;
const LONGEST: usize = 256;

#[derive(PartialEq, Eq, Hash)]
struct Joined {
    first: &'static str,
    rest: Box<str>,
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

static WORDS: LazyLock<RwLock<HashMap<Joined, &'static str>>> = LazyLock::new(RwLock::default);

/// `first` and `rest` with a space between them, or `rest` alone after an empty `first`.
pub(super) fn joined(first: &'static str, rest: &str) -> Cow<'static, str> {
    let asked = Asked { first, rest };
    if let Some(known) = WORDS.read().unwrap_or_else(PoisonError::into_inner).get(&asked) {
        return Cow::Borrowed(known);
    }
    let text = if first.is_empty() { rest.to_owned() } else { format!("{first} {rest}") };
    let mut words = WORDS.write().unwrap_or_else(PoisonError::into_inner);
    if text.len() > LONGEST || words.len() >= KEPT {
        return Cow::Owned(text);
    }
    let kept: &'static str = Box::leak(text.into_boxed_str());
    words.insert(Joined { first, rest: rest.into() }, kept);
    Cow::Borrowed(kept)
}

/// One word.
#[cfg(feature = "sqlx")]
pub(super) fn word(text: &str) -> Cow<'static, str> {
    joined("", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_a_long_one_never() {
        let first = joined("GET", "/interned/{id}");
        assert_eq!(first, "GET /interned/{id}");
        let (Cow::Borrowed(first), Cow::Borrowed(again)) = (first, joined("GET", "/interned/{id}"))
        else {
            panic!("it is kept");
        };
        assert!(std::ptr::eq(first, again));
        assert_eq!(joined("", "alone"), "alone");
        let long = "x".repeat(LONGEST + 1);
        assert!(matches!(joined("", &long), Cow::Owned(_)));
    }
}

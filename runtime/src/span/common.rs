//! Attributes that many spans have from the beginning, the same in all: those of a statement, say.

#![cfg_attr(
    not(all(feature = "sqlx", feature = "otlp")),
    allow(dead_code, reason = "queries have such ones, and one exporter has bytes of them")
)]

use super::engine;
use super::record::Live;
use crate::home;
use crate::redact::Redaction;
use opentelemetry::{Array, Key, KeyValue, Value};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// A list of attributes with different keys. Spans share it until one of them has something else to say; it is
/// searched for secrets once, and encoded once.
#[derive(Debug)]
pub(crate) struct Common {
    pairs: Vec<KeyValue>,
    /// The bytes of the longest text.
    longest: usize,
    encoded: OnceLock<Vec<u8>>,
    /// The address of the redaction that was last asked, and in its lowest bit whether that changes nothing.
    asked: AtomicUsize,
}

/// Such a list, for many.
#[derive(Clone, Debug)]
pub(crate) enum Shared {
    /// Kept for ever: threads that count who has one write to each other's memory with each span.
    Kept(&'static Common),
    Counted(Arc<Common>),
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        match self {
            Shared::Kept(common) => common,
            Shared::Counted(common) => common,
        }
    }
}

/// Those that are kept for ever, each once.
static KEPT: Mutex<Vec<&'static Common>> = Mutex::new(Vec::new());

/// How many are, as many as the statements of a large program.
const MOST: usize = 1_000;

impl Shared {
    /// The keys are all different. For what is asked for again and again: programs have only so many.
    pub(crate) fn kept(pairs: Vec<KeyValue>) -> Self {
        let new = Common::new(pairs);
        let Some(mut all) = home::lock(&KEPT) else { return Shared::Counted(new.into()) };
        match all.iter().find(|known| known.pairs == new.pairs) {
            Some(known) => Shared::Kept(known),
            None if all.len() < MOST => {
                let new: &'static Common = Box::leak(Box::new(new));
                all.push(new);
                Shared::Kept(new)
            }
            None => Shared::Counted(new.into()),
        }
    }

    /// As [`Shared::kept`], for as long as somebody has it.
    pub(crate) fn counted(pairs: Vec<KeyValue>) -> Self {
        Shared::Counted(Common::new(pairs).into())
    }
}

impl Common {
    fn new(pairs: Vec<KeyValue>) -> Self {
        let length = |pair: &KeyValue| match &pair.value {
            Value::Array(Array::String(texts)) => {
                texts.iter().map(|text| text.as_str().len()).max()
            }
            Value::String(text) => Some(text.as_str().len()),
            _ => None,
        };
        let longest = pairs.iter().filter_map(length).max().unwrap_or(0);
        let (encoded, asked) = (OnceLock::new(), AtomicUsize::new(0));
        Common { pairs, longest, encoded, asked }
    }

    pub(crate) fn pairs(&self) -> &[KeyValue] {
        &self.pairs
    }

    /// A list of their own, with room for what is known at the end.
    pub(crate) fn copied(&self) -> Vec<KeyValue> {
        let mut copied = Vec::with_capacity(self.pairs.len() + 2);
        copied.extend_from_slice(&self.pairs);
        copied
    }

    fn has(&self, key: &Key) -> bool {
        self.pairs.iter().any(|pair| pair.key == *key)
    }

    fn is_clean(&self, redaction: &'static Redaction) -> bool {
        let address = std::ptr::from_ref(redaction).addr() & !1;
        let asked = self.asked.load(Relaxed);
        if asked & !1 == address {
            return asked & 1 == 1;
        }
        let is_clean = self.pairs.iter().all(|pair| {
            let mut clean = pair.clone();
            redaction.clean(&mut clean);
            clean == *pair
        });
        self.asked.store(address | usize::from(is_clean), Relaxed);
        is_clean
    }

    /// As bytes, which `encode` makes of them.
    pub(super) fn encoded(&self, encode: impl FnOnce(&[KeyValue]) -> Vec<u8>) -> &[u8] {
        self.encoded.get_or_init(|| encode(&self.pairs))
    }
}

impl Live {
    /// What the span shares with others.
    pub(super) fn common(&self) -> &[KeyValue] {
        let common = self.extra.as_ref().and_then(|extra| extra.common.as_deref());
        common.map_or(&[], Common::pairs)
    }

    /// Begins with attributes that the span shares with others, as far as its limits let it.
    pub(crate) fn share(&mut self, common: Shared) {
        let limits = engine::limits();
        // So many bytes are not more characters.
        let is_short = limits.value_length.is_none_or(|most| common.longest <= most);
        if is_short && common.pairs.len() <= limits.attributes {
            self.extra().common = Some(common);
        } else {
            self.begin_with(common.copied());
        }
    }

    /// Whether an attribute of this name is shared.
    #[inline]
    pub(super) fn shares(&self, key: &Key) -> bool {
        let common = self.extra.as_ref().and_then(|extra| extra.common.as_deref());
        common.is_some_and(|common| common.has(key))
    }

    /// Has for itself what it shared.
    #[cold]
    pub(super) fn unshare(&mut self) {
        let common = self.extra.as_mut().and_then(|extra| extra.common.take());
        if let Some(common) = common {
            self.attributes.splice(..0, common.pairs.iter().cloned());
        }
    }

    /// Shares no more what has a secret in it.
    pub(super) fn unshare_secrets(&mut self, redaction: &'static Redaction) {
        let common = self.extra.as_ref().and_then(|extra| extra.common.as_deref());
        if common.is_some_and(|common| !common.is_clean(redaction)) {
            self.unshare();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use opentelemetry::trace::{SpanId, SpanKind};

    fn live() -> Live {
        Live {
            parent: SpanId::INVALID,
            start: clock::now(),
            site: None,
            attributes: Vec::new(),
            extra: None,
            kind: SpanKind::Internal,
            parent_is_remote: false,
            is_over: true,
        }
    }

    fn common() -> Shared {
        Shared::counted(vec![KeyValue::new("a", "one"), KeyValue::new("b", 2)])
    }

    fn said(live: &Live) -> Vec<(String, Value)> {
        let each = live.common().iter().chain(&live.attributes);
        each.map(|pair| (pair.key.to_string(), pair.value.clone())).collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn a_span_shares_until_it_has_something_else_to_say() {
        let common = common();
        let mut live = live();
        live.share(common.clone());
        live.set(KeyValue::new("c", true));
        assert!(live.shares(&Key::new("a")) && live.attributes.len() == 1);
        assert_eq!(said(&live), pairs([("a", "one".into()), ("b", 2.into()), ("c", true.into())]));
        assert!(live.holds(&KeyValue::new("b", "2")) && !live.holds(&KeyValue::new("b", "3")));
        live.set(KeyValue::new("b", 3));
        assert!(!live.shares(&Key::new("a")));
        assert_eq!(said(&live), pairs([("a", "one".into()), ("b", 3.into()), ("c", true.into())]));
        assert_eq!(common.pairs().len(), 2, "others have what they had");
        live.set_all(vec![KeyValue::new("a", "two"), KeyValue::new("d", 4)]);
        assert_eq!(said(&live)[0].1, "two".into());
    }

    #[test]
    fn a_list_that_meets_what_is_shared_replaces_it() {
        let mut live = live();
        live.share(common());
        live.begin_with(vec![KeyValue::new("c", 1), KeyValue::new("a", "other")]);
        assert_eq!(said(&live), pairs([("a", "other".into()), ("b", 2.into()), ("c", 1.into())]));
    }

    #[test]
    fn what_has_a_secret_is_shared_no_more() {
        let leaked = |redaction| -> &'static Redaction { Box::leak(Box::new(redaction)) };
        let pattern = Redaction::none().pattern("o(?<secret>n)e").unwrap();
        let (harmless, hides) = (leaked(Redaction::none()), leaked(pattern));
        let common = common();
        for _ in 0..2 {
            let mut live = live();
            live.share(common.clone());
            live.unshare_secrets(harmless);
            assert!(live.shares(&Key::new("a")));
            live.unshare_secrets(hides);
            assert!(!live.shares(&Key::new("a")));
            assert_eq!(said(&live), pairs([("a", "one".into()), ("b", 2.into())]));
        }
    }

    #[test]
    fn the_same_list_is_kept_once_and_not_more_than_fit() {
        let list = |number: i64| vec![KeyValue::new("of the test", number)];
        let (Shared::Kept(one), Shared::Kept(again)) =
            (Shared::kept(list(-1)), Shared::kept(list(-1)))
        else {
            panic!("there was room")
        };
        assert!(std::ptr::eq(one, again));
        let many: Vec<Shared> =
            (0..MOST as i64 + 9).map(|number| Shared::kept(list(number))).collect();
        assert!(many.iter().any(|one| matches!(one, Shared::Counted(_))));
        assert!(many.iter().zip(0..).all(|(one, number)| one.pairs() == list(number)));
        assert_eq!(KEPT.lock().unwrap().len(), MOST);
    }

    #[test]
    fn the_bytes_are_made_once() {
        let common = common();
        assert_eq!(common.encoded(|pairs| vec![pairs.len() as u8]), [2]);
        assert_eq!(common.encoded(|_| panic!("they are there")), [2]);
    }
}

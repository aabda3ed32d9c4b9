//! Queries whose text was read.

use super::text::Shown;
use crate::integrations::interned::word;
use crate::integrations::kept::Kept;
use crate::span::common::Shared;
use hashbrown::DefaultHashBuilder;
use metrics::Histogram;
use opentelemetry::Value;
use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// How many are remembered: programs have few queries, unless they put values into their texts.
const REMEMBERED: usize = 1_000;

/// Bytes of a query that is: lists of values may be of any length, and of as many lengths.
const LONGEST: usize = 16 * 1024;

/// How many lists they are spread over.
const LISTS: usize = 256;

/// A query, or a step of a transaction.
pub(super) struct Statement {
    pub(super) shown: Shown,
    pub(super) name: Cow<'static, str>,
    /// What each of its spans has from the beginning.
    pub(super) common: OnceLock<Shared>,
    pub(super) durations: Kept<Ended, Histogram>,
}

/// How an operation ended, as labels say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) error_type: Option<String>,
    pub(super) status_code: Option<String>,
}

impl Statement {
    pub(super) fn new(shown: Shown) -> Self {
        let name = word(&shown.summary());
        Statement { name, shown, common: OnceLock::new(), durations: Kept::new() }
    }
}

/// A text that stands in many spans: none of them copies it.
pub(super) fn shared(text: &str) -> Value {
    match word(text) {
        Cow::Borrowed(word) => Value::String(word.into()),
        Cow::Owned(text) => Value::String(Arc::<str>::from(text).into()),
    }
}

/// What was learnt of a query.
pub(super) enum Found<'a> {
    Remembered(&'a Statement),
    /// There is no room for it.
    Passing(Box<Statement>),
}

impl Deref for Found<'_> {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        match self {
            Found::Remembered(statement) => statement,
            Found::Passing(statement) => statement,
        }
    }
}

/// The queries of a pool, by their texts.
///
/// Read by all threads at once, which write nothing that they share: it only grows, up to a number.
pub(super) struct Statements {
    hashes: DefaultHashBuilder,
    lists: Box<[Link]>,
    known: AtomicUsize,
}

type Link = OnceLock<Box<Remembered>>;

struct Remembered {
    query: Box<str>,
    statement: Statement,
    next: Link,
}

impl Statements {
    pub(super) fn new() -> Self {
        Statements {
            hashes: DefaultHashBuilder::default(),
            lists: (0..LISTS).map(|_| Link::new()).collect(),
            known: AtomicUsize::new(0),
        }
    }

    /// The statement of this text, which `read` makes when it is first seen.
    pub(super) fn find(&self, query: &str, read: impl FnOnce(&str) -> Statement) -> Found<'_> {
        if query.len() > LONGEST {
            return Found::Passing(Box::new(read(query)));
        }
        // The upper bits are the hash's best.
        let list = (self.hashes.hash_one(query) >> 56) as usize;
        let mut link = &self.lists[list % LISTS];
        while let Some(known) = link.get() {
            if *known.query == *query {
                return Found::Remembered(&known.statement);
            }
            link = &known.next;
        }
        self.remember(query, link, read(query))
    }

    /// Keeps what was read, at the end of the list in which it was not found.
    #[cold]
    fn remember<'a>(&'a self, query: &str, mut link: &'a Link, statement: Statement) -> Found<'a> {
        if self.known.fetch_add(1, Relaxed) >= REMEMBERED {
            self.known.fetch_sub(1, Relaxed);
            return Found::Passing(Box::new(statement));
        }
        let mut new =
            Some(Box::new(Remembered { query: query.into(), statement, next: Link::new() }));
        loop {
            // Another thread may have set it meanwhile, to this query or another one.
            new = new.and_then(|new| link.set(new).err());
            let Some(known) = link.get() else { continue };
            if *known.query == *query {
                self.known.fetch_sub(usize::from(new.is_some()), Relaxed);
                return Found::Remembered(&known.statement);
            }
            link = &known.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Statement {
        Statement::new(Shown::verb(query))
    }

    #[test]
    fn a_query_is_read_once_by_however_many_threads_and_found_by_all() {
        let statements = Statements::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..REMEMBERED - 4 {
                        let query = format!("SELECT {number}");
                        assert_eq!(statements.find(&query, read).shown.text, query);
                    }
                });
            }
        });
        for number in 0..REMEMBERED - 4 {
            let query = format!("SELECT {number}");
            let found = statements.find(&query, |_| panic!("{query} was read before"));
            assert!(matches!(found, Found::Remembered(_)));
            assert_eq!(found.shown.text, query);
        }
    }

    #[test]
    fn a_query_of_any_length_is_not_kept() {
        let statements = Statements::new();
        for length in [LONGEST, LONGEST + 1] {
            let query = "x".repeat(length);
            let found = [(); 2].map(|()| statements.find(&query, read));
            let is_kept = |found: &Found<'_>| matches!(found, Found::Remembered(_));
            assert_eq!(found.each_ref().map(is_kept), [length == LONGEST; 2]);
        }
    }

    #[test]
    fn more_queries_than_are_remembered_are_read_each_time() {
        let statements = Statements::new();
        let is_remembered = |number: usize| {
            let query = format!("SELECT {number}");
            let found = statements.find(&query, read);
            assert_eq!(found.shown.text, query);
            matches!(found, Found::Remembered(_))
        };
        assert!((0..REMEMBERED).all(is_remembered));
        assert!(!(REMEMBERED..REMEMBERED + 9).any(is_remembered));
        assert!((0..REMEMBERED).all(is_remembered));
    }
}

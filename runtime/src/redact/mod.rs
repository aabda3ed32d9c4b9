//! What must not leave the process: secrets, by key and by pattern.
//!
//! A [`Redaction`] is looked at before any sink sees a value: log lines and their message, span
//! attributes, span events, links, and the texts of errors. What it finds is replaced by
//! `[redacted]`; the key stays, so that a reader sees that something was there.
//!
//! **By key**, always on: a field or attribute of a well-known name ([`KEYS`]) is replaced, whatever
//! its type, and is not even rendered. **By pattern**, when asked for: regular expressions over the
//! texts, messages and errors included. **In the text of an error** that a call, a request or a query
//! ended with, always on: what a URL has before its host and behind its path,
//! `https://[redacted]@shop/stock?[redacted]`. Clients of HTTP and of databases show theirs. What a
//! program itself writes of an error, in a line (`%error`) or a field, is looked at by patterns alone.
//!
//! ```no_run
//! use redspan::redact::{self, Redaction};
//!
//! # fn main() -> Result<(), redspan::InitError> {
//! let redaction = Redaction::default()
//!     .key("iban")
//!     .pattern(redact::URL_PASSWORD)?
//!     .pattern(r"\bsk_live_\w+")?;
//! let _telemetry = redspan::builder().redact(redaction).install()?;
//! # Ok(())
//! # }
//! ```
//!
//! What is not looked at: names of spans, targets, metric labels, resource attributes, and what other
//! layers of the application write.

mod keys;
mod urls;

use crate::config::ConfigError;
pub use keys::KEYS;
use keys::Keys;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use regex::Regex;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The password in a URL such as `postgres://user:password@host`, also one with an `@` that was not escaped.
pub const URL_PASSWORD: &str =
    r#"[a-zA-Z][a-zA-Z0-9+.\-]*://[^\s/:@]*:(?P<secret>[^\s/@]+(?:@[^\s/@"',;]+)*)@"#;

/// A token after the word `Bearer` or `Basic`, as in the header `Authorization`.
pub const AUTHORIZATION: &str = r"(?i)\b(?:bearer|basic)\s+(?P<secret>[a-z0-9._~+/\-]{8,}=*)";

/// A JSON Web Token.
pub const JWT: &str = r"\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*";

/// What is assigned to a secret's name in a text, a query string, JSON or what `Debug` shows of a struct:
/// `password=x`, `?access_token=x&…`, `"api_key": "x"`, `Login { password: "x" }`.
pub const ASSIGNED: &str = concat!(
    r"(?i)(?:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private|secret)[_\-]?key|credentials?|",
    r#"cvv|cvc|ssn)\\*["']?\s*[=:]\s*(?P<secret>\\+"(?:[^"\\]|\\+[^"\\])*(?:\\+"|$)|"#,
    r#""(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|[^\s"'\\,;&}\])]+)"#,
);

/// An e-mail address.
pub const EMAIL: &str = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}";

/// Thirteen to nineteen digits, in groups or not: a payment card, and some order numbers.
pub const CARD: &str = r"\b(?:\d[ \-]?){12,18}\d\b";

/// Which keys and which texts are secret. See the [module](self).
#[derive(Clone, Debug)]
pub struct Redaction {
    keys: Keys,
    patterns: Vec<Pattern>,
    /// Whether URLs in the texts of errors are shown whole.
    shows_urls: bool,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    /// Whether only the group `secret` is replaced.
    group: bool,
}

/// The well-known keys, what URLs say in errors, and no pattern.
impl Default for Redaction {
    fn default() -> Self {
        let none = Redaction { shows_urls: false, ..Redaction::none() };
        KEYS.iter().fold(none, |redaction, key| redaction.key(key))
    }
}

impl Redaction {
    /// Nothing is secret, not even a field named `password`, or a URL in an error.
    pub fn none() -> Self {
        Redaction { keys: Keys::default(), patterns: Vec::new(), shows_urls: true }
    }

    /// A value under this key is secret. Case, `-` and `_` do not matter. Without a dot, it is the last
    /// part of a dotted name: `token` is also `session.token`, but neither `tokens` nor `token.kind`.
    /// With a dot, it is the whole name.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.keys.add(key);
        self
    }

    /// What this regular expression matches is secret; if it has a group named `secret`, what that
    /// matches. It looks at each text as it will be written, and takes time linear in its length. The
    /// syntax is that of the crate [`regex`](https://docs.rs/regex/1/regex/#syntax).
    ///
    /// # Errors
    /// When it is no regular expression, or matches the empty text.
    pub fn pattern(mut self, pattern: &str) -> Result<Self, ConfigError> {
        let said = |problem: &dyn std::fmt::Display| {
            ConfigError::new(format!(
                "redaction pattern {pattern:?} cannot be used: {problem}; expected a regular \
                 expression such as {EMAIL:?}"
            ))
        };
        let regex = Regex::new(pattern).map_err(|error| said(&error))?;
        if regex.is_match("") {
            return Err(said(&"it matches the empty text"));
        }
        let group = regex.capture_names().flatten().any(|name| name == "secret");
        self.patterns.push(Pattern { regex, group });
        Ok(self)
    }

    /// Whether values under this key are secret.
    #[inline]
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.keys.contain(key)
    }

    /// Whether texts are looked at.
    #[inline]
    pub(crate) fn reads_texts(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The text without its secrets; `None` if there are none.
    pub(crate) fn cleaned(&self, text: &str) -> Option<String> {
        let mut clean: Option<String> = None;
        for pattern in &self.patterns {
            let now = clean.as_deref().unwrap_or(text);
            if let Some(next) = pattern.cleaned(now) {
                clean = Some(next);
            }
        }
        clean
    }

    /// The text of an error as it is to be known.
    #[inline]
    pub(crate) fn of_error(&self, text: &mut String) {
        // Most have no URL, nor any colon.
        if !self.shows_urls && text.as_bytes().contains(&b':') {
            urls::clean(text);
        }
    }

    /// Cleans an attribute in place.
    // In the loop that goes through a span's: nearly always there is nothing to do.
    #[inline(always)]
    pub(crate) fn clean(&self, pair: &mut KeyValue) {
        if self.hides(pair.key.as_str()) {
            hide(pair);
        } else if self.reads_texts() {
            self.clean_value(&mut pair.value);
        }
    }

    #[cold]
    fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.clean_text(text),
            Value::Array(Array::String(texts)) => {
                texts.iter_mut().for_each(|text| self.clean_text(text));
            }
            _ => {}
        }
    }

    fn clean_text(&self, text: &mut StringValue) {
        if let Some(clean) = self.cleaned(text.as_str()) {
            *text = clean.into();
        }
    }

    /// Cleans a text that may be borrowed.
    pub(crate) fn clean_cow(&self, text: &mut Cow<'static, str>) {
        if self.reads_texts()
            && let Some(clean) = self.cleaned(text)
        {
            *text = clean.into();
        }
    }
}

#[cold]
fn hide(pair: &mut KeyValue) {
    pair.value = Value::String(REDACTED.into());
}

impl Pattern {
    fn cleaned(&self, text: &str) -> Option<String> {
        let mut secrets: Vec<Range<usize>> = Vec::new();
        if self.group {
            let found = self.regex.captures_iter(text);
            secrets.extend(found.filter_map(|found| Some(found.name("secret")?.range())));
        } else {
            secrets.extend(self.regex.find_iter(text).map(|found| found.range()));
        }
        secrets.retain(|secret| !secret.is_empty());
        replaced(text, secrets)
    }
}

/// The text with something else in the place of its secrets, which come in their order.
fn replaced(text: &str, secrets: Vec<Range<usize>>) -> Option<String> {
    if secrets.is_empty() {
        return None;
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for secret in secrets {
        clean.push_str(text.get(from..secret.start).unwrap_or_default());
        clean.push_str(REDACTED);
        from = secret.end;
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    Some(clean)
}

static IN_EFFECT: OnceLock<Redaction> = OnceLock::new();

/// Puts a redaction into effect for this process, once; [`Builder::redact`](crate::Builder::redact)
/// does it. Where redspan's log layer stands in an application's own subscriber, call it at the start
/// of `main`. False if one was put into effect before: that one stays.
pub fn install(redaction: Redaction) -> bool {
    IN_EFFECT.set(redaction).is_ok()
}

/// What is in effect: the well-known keys, unless something else was installed.
#[inline]
pub(crate) fn current() -> &'static Redaction {
    static DEFAULT: LazyLock<Redaction> = LazyLock::new(Redaction::default);
    IN_EFFECT.get().unwrap_or_else(|| &DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_group_or_all_it_matches() {
        let redaction = Redaction::none()
            .pattern(URL_PASSWORD)
            .and_then(|it| it.pattern(AUTHORIZATION))
            .and_then(|it| it.pattern(JWT))
            .and_then(|it| it.pattern(EMAIL))
            .and_then(|it| it.pattern(CARD))
            .and_then(|it| it.pattern(ASSIGNED))
            .expect("patterns");
        for (text, clean) in [
            (
                "postgres://me:hunter2@db:5432/shop down",
                "postgres://me:[redacted]@db:5432/shop down",
            ),
            ("postgres://me:p@ss@db/shop", "postgres://me:[redacted]@db/shop"),
            (
                "[\"redis://:a@b\",\"amqp://c:d@e\"] x@y",
                "[\"redis://:[redacted]@b\",\"amqp://c:[redacted]@e\"] x@y",
            ),
            ("sent Bearer abcdefgh12345== twice", "sent Bearer [redacted] twice"),
            ("eyJhbGciOi.eyJzdWIiOi.sig-1", "[redacted]"),
            ("for ann@example.co.uk and bob@x.org", "for [redacted] and [redacted]"),
            ("card 4111 1111 1111 1111.", "card [redacted]."),
            ("GET /cb?access_token=x.y&z=1", "GET /cb?access_token=[redacted]&z=1"),
            (
                "Login { user: 1, password: \"a \\\" b\" }",
                "Login { user: 1, password: [redacted] }",
            ),
            ("{\"api_key\": \"a b\", \"n\": 1}", "{\"api_key\": [redacted], \"n\": 1}"),
            ("\"{\\\"secret\\\":\\\"a b\\\"}\"", "\"{\\\"secret\\\":[redacted]}\""),
            ("pwd: 'a b', token: \"cut of", "pwd: [redacted], token: [redacted]"),
        ] {
            assert_eq!(redaction.cleaned(text).as_deref(), Some(clean));
        }
        assert_eq!(redaction.cleaned("nothing secret at 12:30, tokens: 5, token used"), None);
    }

    #[test]
    fn a_bad_pattern_says_what_is_wrong_with_it() {
        for bad in ["(", "x*"] {
            let error = Redaction::none().pattern(bad).expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("such as"), "{error}");
        }
    }

    #[test]
    fn an_error_shows_whole_urls_only_where_nothing_is_secret() {
        let text = "for url (http://shop/stock?token=1)";
        let clean = "for url (http://shop/stock?[redacted])";
        for (redaction, shown) in [(Redaction::default(), clean), (Redaction::none(), text)] {
            let mut text = text.to_owned();
            redaction.of_error(&mut text);
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn an_attribute_is_cleaned_by_key_and_by_text() {
        let redaction = Redaction::default().pattern("hunter[0-9]").expect("a pattern");
        let clean = |pair: KeyValue| {
            let mut pair = pair;
            redaction.clean(&mut pair);
            pair.value.to_string()
        };
        assert_eq!(clean(KeyValue::new("db.password", 17)), REDACTED);
        assert_eq!(clean(KeyValue::new("note", "is hunter2")), "is [redacted]");
        let list = Value::Array(Array::String(vec!["a".into(), "hunter3".into()]));
        assert_eq!(clean(KeyValue::new("list", list)), "[\"a\",\"[redacted]\"]");
        assert_eq!(clean(KeyValue::new("n", 5)), "5");
    }
}

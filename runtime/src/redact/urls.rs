//! Of the URLs in an error's text: who asks, and what for. Clients of HTTP show the whole URL in theirs, and an annotated
//! function hands that on.

use std::ops::Range;

/// Where no URL goes on. A bracket or a comma may stand in one.
fn ends(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// What stands around a URL rather than at its end.
const AROUND: [char; 9] = [')', ']', '}', '.', ',', ';', ':', '!', '…'];

/// The text without credentials, queries and fragments of URLs; `None` if there are none.
pub(super) fn cleaned(text: &str) -> Option<String> {
    let mut secrets = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")) {
        let begin = from + at + "://".len();
        let rest = text.get(begin..).unwrap_or_default();
        let url = rest.split(ends).next().unwrap_or_default();
        secrets.extend(of_url(url).map(|secret| begin + secret.start..begin + secret.end));
        from = begin + url.len();
    }
    super::replaced(text, secrets)
}

/// Where they stand in what follows the scheme.
fn of_url(url: &str) -> impl Iterator<Item = Range<usize>> + use<> {
    let authority = url.find(['/', '?', '#', '\\']).unwrap_or(url.len());
    let credentials = url.get(..authority).and_then(|it| it.rfind('@')).map(|at| 0..at);
    let whole = url.trim_end_matches(AROUND).len();
    let query = url.find(['?', '#']).map(|at| at + 1..whole);
    credentials.into_iter().chain(query).filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_host_and_its_path() {
        for (text, clean) in [
            ("for url (http://shop/a?token=1)", "for url (http://shop/a?[redacted])"),
            (
                "for url (http://me:x@shop/a?f=(b)c#d): gone",
                "for url (http://[redacted]@shop/a?[redacted]): gone",
            ),
            (
                "https://me@[::1]:80/@you and b://c#d.",
                "https://[redacted]@[::1]:80/@you and b://c#[redacted].",
            ),
            (
                "[\"redis://:a@b\",\"amqp://c:d@e?f\"]",
                "[\"redis://[redacted]@b\",\"amqp://[redacted]@e?[redacted]\"]",
            ),
            ("postgres://me:p@ss@db/shop", "postgres://[redacted]@db/shop"),
            ("http://a?x://b?y", "http://a?[redacted]"),
            ("http://a?é…", "http://a?[redacted]…"),
        ] {
            assert_eq!(cleaned(text).as_deref(), Some(clean));
        }
        for text in [
            "http://shop/a",
            "is it? 12:30 #3",
            "http://[::1]:8080/@you",
            "://",
            "a://?",
            "b://#)",
            "x:// ?",
        ] {
            assert_eq!(cleaned(text), None, "{text}");
        }
    }
}

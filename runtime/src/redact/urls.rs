//! Of the URLs in an error's text: who asks, and what for. Clients of HTTP show the whole URL in theirs, and an annotated
//! function hands that on.

use std::iter;
use std::ops::Range;

/// What stands behind a URL rather than at its end.
const AROUND: [char; 9] = [')', ']', '}', '.', ',', ';', ':', '!', '…'];

fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Takes credentials, queries and fragments of URLs out of a text.
#[cold]
pub(super) fn clean(text: &mut String) {
    if let Some(clean) = cleaned(text) {
        *text = clean;
    }
}

/// The text without them; `None` if there are none.
fn cleaned(text: &str) -> Option<String> {
    const SIGN: &str = "://";
    let mut secrets = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(SIGN) {
        let before = text[..from + at].trim_end_matches(is_of_scheme).chars().next_back();
        let begin = from + at + SIGN.len();
        from = begin + length(&text[begin..]);
        let mut url = &text[begin..from];
        if text[from..].starts_with(SIGN) {
            url = url.trim_end_matches(is_of_scheme);
        }
        // Quotes may be part of a URL, but for those around it.
        let quote = before.filter(|before| matches!(before, '\'' | '`'));
        if let Some((quoted, _)) = quote.and_then(|quote| url.rsplit_once(quote)) {
            url = quoted;
        }
        secrets.extend(of_url(url).map(|secret| begin + secret.start..begin + secret.end));
    }
    super::replaced(text, secrets)
}

/// How long a URL can be, without its scheme. The next one may follow without a blank, as in lists of servers.
fn length(text: &str) -> usize {
    let mut is_query = false;
    let mut ends = |at: usize, c: char| {
        is_query |= matches!(c, '?' | '#');
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '<' | '>')
            || c == ':' && !is_query && text[at..].starts_with("://")
    };
    let mut chars = text.char_indices();
    chars.find(|(at, c)| ends(*at, *c)).map_or(text.len(), |(at, _)| at)
}

/// Where they stand in what follows the scheme.
fn of_url(url: &str) -> impl Iterator<Item = Range<usize>> + use<> {
    let url = url.trim_end_matches(AROUND);
    let (authority, _) = url.split_at(url.find(['/', '?', '#', '\\']).unwrap_or(url.len()));
    let credentials = match authority.rfind('@') {
        Some(at) => at,
        None if is_place(authority) => 0,
        // They have a sign that ought to be escaped.
        None => url.rfind('@').unwrap_or(0),
    };
    let query = url[credentials..].find(['?', '#']).map(|at| credentials + at + 1..url.len());
    iter::once(0..credentials).chain(query).filter(|secret| !secret.is_empty())
}

/// A host, and a port if there is one.
fn is_place(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    authority.ends_with(']') || port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()))
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
            // Signs that a URL may have.
            ("(http://shop/a?f=`x`&token=1)", "(http://shop/a?[redacted])"),
            ("http://shop/cb#it's&token=1", "http://shop/cb#[redacted]"),
            (
                "'http://me:it's@shop/a?b' and `c://d?e`.",
                "'http://[redacted]@shop/a?[redacted]' and `c://d?[redacted]`.",
            ),
            ("postgres://me:it's@db/shop", "postgres://[redacted]@db/shop"),
            // One after the other, and within each other.
            (
                "nats://u:p@a:4222,nats://u:p@b:4222",
                "nats://[redacted]@a:4222,nats://[redacted]@b:4222",
            ),
            ("redis://a:1,redis://:secret@b", "redis://a:1,redis://[redacted]@b"),
            (
                "http://gw/fetch/http://u:p@in/?x",
                "http://gw/fetch/http://[redacted]@in/?[redacted]",
            ),
            ("http://gw/?to=http://u:p@in/ x://y?z", "http://gw/?[redacted] x://y?[redacted]"),
            // What ought to be escaped.
            ("postgres://me:p/w@db/shop", "postgres://[redacted]@db/shop"),
            ("postgres://me:p?w@db/shop?a", "postgres://[redacted]@db/shop?[redacted]"),
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

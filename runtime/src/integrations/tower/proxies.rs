//! What proxies in front of the service say of a request. Whoever asks can send the same headers, so they are believed
//! only where that was asked for, and only what as many proxies as there are have added.

use super::super::http::asked;
use ::http::header::FORWARDED;
use ::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// The proxies that are believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proxies {
    headers: Headers,
    /// How many of them add to those.
    count: usize,
}

#[derive(Clone, Copy, Debug)]
enum Headers {
    /// <https://www.rfc-editor.org/rfc/rfc7239>
    Forwarded,
    /// What most send: by custom, of which there are several.
    XForwarded,
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

impl Proxies {
    pub(super) fn forwarded(count: usize) -> Self {
        Proxies { headers: Headers::Forwarded, count }
    }

    pub(super) fn x_forwarded(count: usize) -> Self {
        Proxies { headers: Headers::XForwarded, count }
    }

    /// Who asked the outermost of them.
    pub(super) fn client(self, headers: &HeaderMap) -> Option<IpAddr> {
        match self.headers {
            Headers::Forwarded => address(pair(self.element(headers, &FORWARDED)?, "for")?),
            Headers::XForwarded => address(self.element(headers, &FOR)?),
        }
    }

    /// How it was asked.
    pub(super) fn scheme(self, headers: &HeaderMap) -> Option<&'static str> {
        asked::known_scheme(match self.headers {
            Headers::Forwarded => pair(self.element(headers, &FORWARDED)?, "proto")?,
            Headers::XForwarded => self.outermost(headers, &PROTO)?,
        })
    }

    /// Whom it was asked for, as far as they say it: some tell the port alone, and hand on the host as it came.
    pub(super) fn server<'h>(
        self,
        headers: &'h HeaderMap,
        asked: Option<(&'h str, Option<u16>)>,
    ) -> Option<(&'h str, Option<u16>)> {
        let (said, port) = match self.headers {
            Headers::Forwarded => {
                let element = self.element(headers, &FORWARDED);
                (element.and_then(|element| pair(element, "host")), None)
            }
            Headers::XForwarded => {
                let port = || self.outermost(headers, &PORT)?.parse().ok();
                (self.outermost(headers, &HOST), port())
            }
        };
        let (host, of_host) = said.and_then(asked::host).or(asked)?;
        Some((host, of_host.or(port)))
    }

    /// What the outermost has added to a list. None where the list is shorter than there are proxies: somebody asked
    /// past one of them, and may have written all of it.
    fn element<'h>(self, headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
        elements(headers, name).nth(self.count.checked_sub(1)?)?
    }

    /// What the outermost has said in a header that some replace and others add to.
    fn outermost<'h>(self, headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
        elements(headers, name).take(self.count).last()?
    }
}

/// The elements of a list in one header or several, from its end on: what its beginning is like is up to strangers.
/// Those that are no text are among them, since they count.
fn elements<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'h str>> {
    let values = headers.get_all(name).into_iter().rev();
    let elements = values.flat_map(|value| Backwards { rest: Some(value.as_bytes()), at: b',' });
    elements.filter(|element| !element.is_empty()).map(|element| str::from_utf8(element).ok())
}

/// What stands between separators, outside of quotes, from the end on, without spaces around it.
struct Backwards<'t> {
    rest: Option<&'t [u8]>,
    at: u8,
}

impl<'t> Iterator for Backwards<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.rest.take()?;
        let mut is_quoted = false;
        for at in (0..text.len()).rev() {
            let (before, from) = text.split_at(at);
            match from {
                [b'"', ..] if !is_escaped(before) => is_quoted = !is_quoted,
                [byte, after @ ..] if *byte == self.at && !is_quoted => {
                    self.rest = Some(before);
                    return Some(after.trim_ascii());
                }
                _ => {}
            }
        }
        Some(text.trim_ascii())
    }
}

/// Whether what follows is meant as it stands.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// A value of an element of `Forwarded`, without its quotes. One with a backslash in it is neither a host nor an
/// address, and left to whoever reads those.
fn pair<'h>(element: &'h str, name: &str) -> Option<&'h str> {
    let pairs = Backwards { rest: Some(element.as_bytes()), at: b';' };
    let mut pairs = pairs.filter_map(|pair| str::from_utf8(pair).ok()?.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim_ascii().eq_ignore_ascii_case(name))?;
    let value = value.trim_ascii();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// The address of a node, which may have a port. None of one that hides: `unknown`, `_backend`.
fn address(node: &str) -> Option<IpAddr> {
    let ip: IpAddr = match node.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        // One of IPv6 without brackets has colons of its own.
        None => {
            node.parse().or_else(|_| node.split_once(':').unwrap_or_default().0.parse()).ok()?
        }
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn headers(lines: &[(&HeaderName, &[u8])]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, line)| ((*name).clone(), HeaderValue::from_bytes(line).unwrap()))
            .collect()
    }

    /// Client, scheme and server, as texts.
    fn said(proxies: Proxies, lines: &[(&HeaderName, &[u8])]) -> [String; 3] {
        let headers = headers(lines);
        let server = proxies.server(&headers, None).map(|(host, port)| match port {
            Some(port) => format!("{host} {port}"),
            None => host.to_owned(),
        });
        let client = proxies.client(&headers).map(|client| client.to_string());
        let scheme = proxies.scheme(&headers).map(str::to_owned);
        [client, scheme, server].map(Option::unwrap_or_default)
    }

    const WHOLE: &[u8] = b"for=192.0.2.60;proto=https;host=shop.example:8443;by=10.0.0.1";

    #[test]
    fn the_outermost_proxy_says_it() {
        let whole = ["192.0.2.60", "https", "shop.example 8443"];
        assert_eq!(said(Proxies::forwarded(1), &[(&FORWARDED, WHOLE)]), whole);
        let further: [(_, &[u8]); 2] =
            [(&FORWARDED, WHOLE), (&FORWARDED, b"for=10.0.0.1;proto=http")];
        assert_eq!(said(Proxies::forwarded(2), &further), whole);
        assert_eq!(said(Proxies::forwarded(1), &further), ["10.0.0.1", "http", ""]);
        let lines: [(_, &[u8]); 4] = [
            (&FOR, b"192.0.2.60, 10.0.0.1"),
            (&PROTO, b"HTTPS"),
            (&HOST, b"shop.example"),
            (&PORT, b"8443"),
        ];
        assert_eq!(said(Proxies::x_forwarded(2), &lines), whole);
    }

    #[test]
    fn what_strangers_say_before_it_is_not_looked_at() {
        for strangers in
            [&b"for=6.6.6.6;proto=http;host=evil"[..], b"for=\"", b"\"\\", b"\xff", b",,"]
        {
            let line = [strangers, b", ", WHOLE].concat();
            let in_one: [(_, &[u8]); 1] = [(&FORWARDED, &line)];
            let in_two = [(&FORWARDED, strangers), (&FORWARDED, WHOLE)];
            for lines in [&in_one[..], &in_two] {
                let whole = ["192.0.2.60", "https", "shop.example 8443"];
                assert_eq!(said(Proxies::forwarded(1), lines), whole, "{lines:?}");
            }
            let line = [strangers, b",192.0.2.60"].concat();
            assert_eq!(said(Proxies::x_forwarded(1), &[(&FOR, &line)])[0], "192.0.2.60");
        }
    }

    #[test]
    fn a_list_that_is_too_short_names_no_client() {
        assert_eq!(said(Proxies::forwarded(2), &[(&FORWARDED, WHOLE)]), [""; 3]);
        let lines: [(_, &[u8]); 3] = [(&FOR, b"6.6.6.6"), (&PROTO, b"https"), (&HOST, b"shop")];
        // Proxies that replace these leave one, however many they are.
        assert_eq!(said(Proxies::x_forwarded(2), &lines), ["", "https", "shop"]);
        assert_eq!(said(Proxies::x_forwarded(0), &lines), [""; 3]);
        assert_eq!(said(Proxies::forwarded(0), &[(&FORWARDED, WHOLE)]), [""; 3]);
        assert_eq!(said(Proxies::x_forwarded(1), &[]), [""; 3]);
    }

    #[test]
    fn an_address_is_read_in_all_its_forms_and_nothing_else_is() {
        for (node, address_of) in [
            ("192.0.2.60", "192.0.2.60"),
            ("192.0.2.60:4711", "192.0.2.60"),
            ("192.0.2.60:_hidden", "192.0.2.60"),
            ("[2001:db8::17]", "2001:db8::17"),
            ("[2001:db8::17]:4711", "2001:db8::17"),
            ("2001:db8::17", "2001:db8::17"),
            ("::ffff:192.0.2.60", "192.0.2.60"),
        ] {
            assert_eq!(address(node), Some(address_of.parse().unwrap()), "{node}");
        }
        for node in [
            "unknown",
            "_hidden",
            "",
            ":",
            "[",
            "[]",
            "a.example",
            "1.2.3",
            "[::1",
            "\"",
            "1.2.3.4.5",
        ] {
            assert_eq!(address(node), None, "{node}");
        }
    }

    #[test]
    fn quotes_hold_what_separates() {
        let element = b"for=\"[2001:db8::17]:47,11\";PROTO = \"wss\" ; host=\"a;b=\\\",c\"";
        let proxies = Proxies::forwarded(1);
        assert_eq!(said(proxies, &[(&FORWARDED, element)]), ["2001:db8::17", "https", ""]);
        for scheme in ["ftp", "", "httpss", "\"https"] {
            let line = format!("proto={scheme}");
            assert_eq!(said(proxies, &[(&FORWARDED, line.as_bytes())])[1], "", "{scheme}");
        }
    }
}

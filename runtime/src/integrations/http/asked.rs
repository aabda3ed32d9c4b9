//! Whom a request is for.

use http::Request;
use http::header::HOST;
use http::uri::Authority;

/// The server that a request is for: its URI says it, as of HTTP/2 and of what goes through a proxy, and takes
/// precedence over the header `host`. <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>
pub(in crate::integrations) fn server<B>(request: &Request<B>) -> Option<(&str, Option<u16>)> {
    if let Some(stated) = request.uri().authority() {
        return Some((stated.host(), stated.port_u16()));
    }
    host(request.headers().get(HOST)?.to_str().ok()?)
}

/// What a host is called, and its port.
pub(in crate::integrations) fn host(text: &str) -> Option<(&str, Option<u16>)> {
    plain(text).or_else(|| {
        let authority: Authority = text.parse().ok()?;
        let begin = text.rfind('@').map_or(0, |at| at + 1);
        let end = begin + authority.host().len();
        Some((text.get(begin..end)?, authority.port_u16()))
    })
}

/// One of HTTP's schemes, as labels have it; what is upgraded to a websocket was asked for by one of them.
pub(in crate::integrations) fn known_scheme(text: &str) -> Option<&'static str> {
    let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
    if is("https") || is("wss") {
        return Some("https");
    }
    (is("http") || is("ws")).then_some("http")
}

/// Host and port, as most are: without user, brackets or escapes.
fn plain(text: &str) -> Option<(&str, Option<u16>)> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let end = text.bytes().position(|b| !is_plain(&b)).unwrap_or(text.len());
    let (host, rest) = text.split_at_checked(end)?;
    let port = match rest.as_bytes() {
        [] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(rest.get(1..)?.parse().ok()?)
        }
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_host_reads_as_any_does() {
        for host in ["a", "a.b-c:8080", "127.0.0.1:1", "a:", "a:0", "a:65535", "A.b"] {
            let any: Authority = host.parse().unwrap();
            let plain = plain(host).unwrap_or((any.host(), any.port_u16()));
            assert_eq!(plain, (any.host(), any.port_u16()), "{host}");
        }
        for other in ["", ":1", "a:65536", "a:b", "[::1]:80", "u@a", "a b", "a%20", "a:+1", "a:1:2"]
        {
            assert_eq!(plain(other), None, "{other}");
        }
    }

    #[test]
    fn a_host_is_read_out_of_whatever_stands_around_it() {
        for (host, server) in [
            ("a:1", Some(("a", Some(1)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("me:secret@a", Some(("a", None))),
            ("me:secret@[::1]", Some(("[::1]", None))),
            ("a b", None),
            ("", None),
        ] {
            let request = Request::get("/").header(HOST, host).body(()).unwrap();
            assert_eq!(super::server(&request), server, "{host}");
        }
    }
}

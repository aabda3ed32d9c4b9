//! W3C Baggage, and what of it is copied into telemetry. <https://www.w3.org/TR/baggage/>

use super::carriers::{OWS, all};
use crate::config::env::is_token;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, Key, KeyValue};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{LazyLock, OnceLock};

const BAGGAGE: &str = "baggage";

/// What a platform has to propagate; more may be dropped, in whole members.
const MAX_MEMBERS: usize = 64;
const MAX_BYTES: usize = 8_192;

/// The keys of the members that telemetry shows.
static ALLOWED: OnceLock<Box<[Key]>> = OnceLock::new();

/// From now on, members of these keys are copied into span attributes and log lines. Once a process.
pub(crate) fn allow(keys: Vec<Key>) {
    if !keys.is_empty() {
        let _ = ALLOWED.set(keys.into());
    }
}

/// Whether anything is copied.
#[inline]
pub(crate) fn copies() -> bool {
    ALLOWED.get().is_some()
}

/// What of the context's baggage is copied.
#[inline]
pub(crate) fn copied(context: &Context) -> impl Iterator<Item = KeyValue> {
    let allowed = ALLOWED.get().map_or(&[][..], |keys| keys);
    allowed.iter().filter_map(move |key| {
        let value = context.baggage().get(key)?;
        Some(KeyValue::new(key.clone(), value.clone()))
    })
}

/// Reads and writes `baggage`.
#[derive(Clone, Copy, Debug)]
pub(super) struct BaggageHeader;

/// What may stand in a value as it is, the percent sign of an encoding included.
fn is_octet(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !b"\",;\\".contains(&byte)
}

/// Replaces every `%XX`; bytes that are no UTF-8 become U+FFFD, as the specification asks. `None` if
/// the value is not one.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    if !value.bytes().all(is_octet) {
        return None;
    }
    if !value.contains('%') {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if is_octet(byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `key` or `key=value`, without the white space that may stand in it.
fn property(text: &str) -> Option<String> {
    match text.split_once('=') {
        None => Some(text.trim_matches(OWS)).filter(|key| is_token(key)).map(str::to_owned),
        Some((key, value)) => {
            let (key, value) = (key.trim_matches(OWS), value.trim_matches(OWS));
            (is_token(key) && decoded(value).is_some()).then(|| format!("{key}={value}"))
        }
    }
}

/// `key=value;property;property`: the key, the decoded value, and the properties as they were.
fn member(text: &str) -> Option<(&str, Cow<'_, str>, String)> {
    let (pair, properties) = match text.split_once(';') {
        Some((pair, properties)) => (pair, Some(properties)),
        None => (text, None),
    };
    let (key, value) = pair.split_once('=')?;
    let key = Some(key.trim_matches(OWS)).filter(|key| is_token(key))?;
    let value = decoded(value.trim_matches(OWS))?;
    let mut metadata = String::new();
    for text in properties.into_iter().flat_map(|properties| properties.split(';')) {
        let separator = if metadata.is_empty() { "" } else { ";" };
        let _ = write!(metadata, "{separator}{}", property(text)?);
    }
    Some((key, value, metadata))
}

fn parse(lists: &[&str]) -> Baggage {
    let mut baggage = Baggage::new();
    let mut bytes = 0;
    for text in lists.iter().flat_map(|list| list.split(',')) {
        bytes += text.len() + 1;
        // The last comma is none.
        if bytes > MAX_BYTES + 1 || baggage.len() == MAX_MEMBERS {
            break;
        }
        if let Some((key, value, metadata)) = member(text.trim_matches(OWS)) {
            baggage.insert_with_metadata(key.to_owned(), value.into_owned(), &*metadata);
        }
    }
    baggage
}

fn header(baggage: &Baggage) -> String {
    let mut members: Vec<_> = baggage.iter().collect();
    // The map has no order of its own, and what does not fit should always be the same.
    members.sort_unstable_by_key(|(key, _)| key.as_str());
    let mut header = String::new();
    for (key, (value, metadata)) in members.into_iter().take(MAX_MEMBERS) {
        let before = header.len();
        let separator = if before == 0 { "" } else { "," };
        let _ = write!(header, "{separator}{key}=");
        encode(&mut header, value.as_str());
        // Put there by the program, perhaps: then nobody has looked at them.
        for property in metadata.as_str().split(';').filter_map(property) {
            let _ = write!(header, ";{property}");
        }
        if header.len() > MAX_BYTES || !is_token(key.as_str()) {
            header.truncate(before);
        }
    }
    header
}

impl TextMapPropagator for BaggageHeader {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let baggage = context.baggage();
        if baggage.is_empty() {
            return;
        }
        let header = header(baggage);
        if !header.is_empty() {
            injector.set(BAGGAGE, header);
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let lists = all(extractor, BAGGAGE);
        if lists.is_empty() {
            return context.clone();
        }
        let baggage = parse(&lists);
        if baggage.is_empty() { context.clone() } else { context.with_baggage(baggage) }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [BAGGAGE.to_owned()]);
        FieldIter::new(FIELDS.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lists: &[&str]) -> Vec<(String, String, String)> {
        let baggage = parse(lists);
        let mut members: Vec<_> = baggage
            .iter()
            .map(|(key, (value, metadata))| {
                (key.to_string(), value.to_string(), metadata.as_str().to_owned())
            })
            .collect();
        members.sort();
        members
    }

    fn triple(key: &str, value: &str, metadata: &str) -> (String, String, String) {
        (key.to_owned(), value.to_owned(), metadata.to_owned())
    }

    #[test]
    fn members_are_decoded_and_properties_kept() {
        assert_eq!(
            shown(&["a = 1 ;p1 ; p2 = x , b=%C3%A9%20=", "c=%ff"]),
            [triple("a", "1", "p1;p2=x"), triple("b", "é =", ""), triple("c", "\u{fffd}", "")]
        );
    }

    #[test]
    fn a_malformed_member_is_dropped_and_the_others_stay() {
        for bad in
            ["a", "=1", "a b=1", "a=1 2", "a=\"1\"", "a=%4", "a=%zz", "a=1;", "a=1;p q", "é=1"]
        {
            assert_eq!(shown(&[bad, "ok=1"]), [triple("ok", "1", "")], "{bad}");
        }
    }

    #[test]
    fn the_limits_cut_whole_members() {
        let many: Vec<_> = (0..70).map(|n| format!("k{n}=v")).collect();
        assert_eq!(shown(&[&many.join(",")]).len(), 64);
        let long = |value: usize| format!("a=1,b={}", "x".repeat(value));
        assert_eq!(shown(&[&long(MAX_BYTES - 6)]).len(), 2);
        assert_eq!(shown(&[&long(MAX_BYTES - 5)]).len(), 1);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut baggage = Baggage::new();
        baggage.insert_with_metadata("tenant", "a, b;\"c\" 100 %é\n", "p=1;q;\r\nforged: x");
        baggage.insert("empty", "");
        let header = header(&baggage);
        assert!(!header.contains(['\r', '\n', ' ']), "{header}");
        assert_eq!(
            shown(&[&header]),
            [triple("empty", "", ""), triple("tenant", "a, b;\"c\" 100 %é\n", "p=1;q")]
        );
    }
}

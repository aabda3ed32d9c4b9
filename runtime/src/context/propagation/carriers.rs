//! What contexts travel in.

#[cfg(feature = "_http")]
mod http;
#[cfg(any(feature = "otlp", feature = "tonic"))]
mod tonic;

use opentelemetry::propagation::{Extractor, Injector};
use std::collections::{BTreeMap, HashMap};

/// A carrier that a context can be written into.
///
/// ```
/// use redspan::propagation::Inject;
///
/// struct Message { headers: Vec<(String, Vec<u8>)> }
///
/// impl Inject for Message {
///     fn set_header(&mut self, name: &str, value: String) {
///         self.headers.push((name.to_owned(), value.into_bytes()));
///     }
/// }
/// ```
pub trait Inject {
    /// Writes a header, in place of those of the same name.
    fn set_header(&mut self, name: &str, value: String);

    /// Takes away all headers of that name, whatever its case. For carriers that may hold headers of another
    /// context already, such as a request that is passed on; by default nothing is taken away.
    fn remove_header(&mut self, name: &str) {
        let _ = name;
    }
}

/// A carrier that a context can be read from.
///
/// ```
/// use redspan::propagation::{Extract, text};
///
/// struct Message { headers: Vec<(String, Vec<u8>)> }
///
/// impl Extract for Message {
///     fn header_values(&self, name: &str) -> Vec<&str> {
///         let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
///         named.map(|(_, value)| text(value)).collect()
///     }
///
///     fn header_names(&self) -> Vec<&str> {
///         self.headers.iter().map(|(key, _)| key.as_str()).collect()
///     }
/// }
/// ```
pub trait Extract {
    /// All values of the headers of that name, whatever its case, in their order. None may be left
    /// out: a header that comes twice is treated otherwise than one that comes once.
    fn header_values(&self, name: &str) -> Vec<&str>;

    /// The names of all headers.
    fn header_names(&self) -> Vec<&str>;
}

/// A value as text. Where it is none, a text that no propagator accepts, so that the header still
/// counts as one.
pub fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or("\u{fffd}")
}

fn named<'a, K: AsRef<str> + 'a, V: AsRef<[u8]> + 'a>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
    name: &str,
) -> Vec<&'a str> {
    let named = pairs.filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name));
    named.map(|(_, value)| text(value.as_ref())).collect()
}

impl<V: From<String>, S: std::hash::BuildHasher> Inject for HashMap<String, V, S> {
    fn set_header(&mut self, name: &str, value: String) {
        self.remove_header(name);
        self.insert(name.to_owned(), value.into());
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl<V: AsRef<[u8]>, S: std::hash::BuildHasher> Extract for HashMap<String, V, S> {
    fn header_values(&self, name: &str) -> Vec<&str> {
        named(self.iter(), name)
    }

    fn header_names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

impl<V: From<String>> Inject for BTreeMap<String, V> {
    fn set_header(&mut self, name: &str, value: String) {
        self.remove_header(name);
        self.insert(name.to_owned(), value.into());
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl<V: AsRef<[u8]>> Extract for BTreeMap<String, V> {
    fn header_values(&self, name: &str) -> Vec<&str> {
        named(self.iter(), name)
    }

    fn header_names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

impl<V: From<String>> Inject for Vec<(String, V)> {
    fn set_header(&mut self, name: &str, value: String) {
        self.remove_header(name);
        self.push((name.to_owned(), value.into()));
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Extract for [(K, V)] {
    fn header_values(&self, name: &str) -> Vec<&str> {
        named(self.iter().map(|(key, value)| (key, value)), name)
    }

    fn header_names(&self) -> Vec<&str> {
        self.iter().map(|(key, _)| key.as_ref()).collect()
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Extract for Vec<(K, V)> {
    fn header_values(&self, name: &str) -> Vec<&str> {
        self.as_slice().header_values(name)
    }

    fn header_names(&self) -> Vec<&str> {
        self.as_slice().header_names()
    }
}

/// A carrier as OpenTelemetry's propagators write to it.
pub(super) struct Writing<'a, C: ?Sized>(pub(crate) &'a mut C);

impl<C: Inject + ?Sized> Injector for Writing<'_, C> {
    fn set(&mut self, key: &str, value: String) {
        self.0.set_header(key, value);
    }
}

/// A carrier as OpenTelemetry's propagators read it.
pub(crate) struct Reading<'a, C: ?Sized>(pub(crate) &'a C);

impl<C: Extract + ?Sized> Extractor for Reading<'_, C> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header_values(key).into_iter().next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.header_names()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.0.header_values(key)).filter(|values| !values.is_empty())
    }
}

/// All values of a header.
pub(super) fn all<'a>(extractor: &'a dyn Extractor, name: &str) -> Vec<&'a str> {
    extractor.get_all(name).unwrap_or_default()
}

/// The value of a header that may come only once: two are as good as none, since nobody can say which
/// is right.
pub(super) fn only<'a>(extractor: &'a dyn Extractor, name: &str) -> Option<&'a str> {
    match all(extractor, name)[..] {
        [value] => Some(value.trim_matches(OWS)),
        _ => None,
    }
}

/// The optional white space of HTTP.
pub(super) const OWS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_whatever_its_case_and_replaced_when_it_is_written() {
        let mut map = HashMap::from([(String::from("B3"), String::from("old"))]);
        assert_eq!(map.header_values("b3"), ["old"]);
        map.set_header("b3", String::from("new"));
        assert_eq!(map, HashMap::from([(String::from("b3"), String::from("new"))]));

        let mut list = vec![(String::from("B3"), b"1".to_vec()), (String::from("b3"), vec![0xff])];
        assert_eq!(
            list.header_values("b3"),
            ["1", "\u{fffd}"],
            "a value that is no text still counts"
        );
        list.set_header("b3", String::from("new"));
        assert_eq!(list, [(String::from("b3"), b"new".to_vec())]);
    }
}

//! The headers of HTTP.

use super::{Extract, Inject, text};
use ::http::{HeaderMap, HeaderName, HeaderValue};

impl Inject for HeaderMap {
    fn set_header(&mut self, name: &str, value: String) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }
}

impl Extract for HeaderMap {
    fn header_values(&self, name: &str) -> Vec<&str> {
        self.get_all(name).iter().map(|value| text(value.as_bytes())).collect()
    }

    fn header_names(&self) -> Vec<&str> {
        self.keys().map(HeaderName::as_str).collect()
    }
}

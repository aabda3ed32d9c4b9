//! The metadata of gRPC.

use super::{Extract, Inject, text};
use ::http::{HeaderMap, HeaderName};
use ::tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

impl Inject for MetadataMap {
    fn set_header(&mut self, name: &str, value: String) {
        let name = MetadataKey::<Ascii>::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, MetadataValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn remove_header(&mut self, name: &str) {
        self.remove(name);
    }
}

impl Extract for MetadataMap {
    fn header_values(&self, name: &str) -> Vec<&str> {
        let headers: &HeaderMap = self.as_ref();
        headers.get_all(name).iter().map(|value| text(value.as_bytes())).collect()
    }

    fn header_names(&self) -> Vec<&str> {
        let headers: &HeaderMap = self.as_ref();
        headers.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_carries_what_headers_carry() {
        let mut metadata = MetadataMap::new();
        metadata.set_header("b3", String::from("1"));
        metadata.set_header("b3", String::from("0"));
        assert_eq!(
            (metadata.header_values("B3"), metadata.header_names()),
            (vec!["0"], vec!["b3"])
        );
        metadata.remove_header("B3");
        assert!(metadata.is_empty());
    }
}

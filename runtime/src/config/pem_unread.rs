//! Whether a PEM file holds what it should, as far as a program can tell that does not use it.

pub(super) fn are_authorities(pem: &str) -> bool {
    are_certificates(pem)
}

pub(super) fn are_certificates(pem: &str) -> bool {
    pem.contains("-----BEGIN CERTIFICATE-----")
}

pub(super) fn is_key(pem: &str) -> bool {
    pem.contains("PRIVATE KEY-----")
}

pub(super) fn belong_together(_: &str, _: &str) -> bool {
    true
}

//! Whether a PEM file holds what it should: a file that is cut short, or another key than the certificate's, is as bad
//! a value as a file that is missing.

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// All of them can be trusted.
pub(super) fn are_authorities(pem: &str) -> bool {
    let mut roots = RootCertStore::empty();
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
    all.all(|it| it.is_ok_and(|it| roots.add(it).is_ok())) && !roots.is_empty()
}

/// There is one, and all can be read.
pub(super) fn are_certificates(pem: &str) -> bool {
    chain(pem).is_some_and(|chain| !chain.is_empty())
}

/// There is a key of a kind that can sign.
pub(super) fn is_key(pem: &str) -> bool {
    key(pem).is_some_and(|key| ring::sign::any_supported_type(&key).is_ok())
}

/// The key is the certificate's.
pub(super) fn belong_together(certificate: &str, key: &str) -> bool {
    let (chain, key) = (chain(certificate), self::key(key));
    let both = chain.zip(key);
    both.is_some_and(|(chain, key)| {
        CertifiedKey::from_der(chain, key, &ring::default_provider()).is_ok()
    })
}

fn chain(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()
}

fn key(pem: &str) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()
}

//! TLS: whom to trust, who we are, and what to do when that does not go together.

use crate::config::ConfigError;
use crate::config::otlp::Tls;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// The authorities given, or else those of the system; the latter are read only for an address that
/// needs them.
pub(super) fn config(tls: &Tls, secure: bool) -> Result<ClientConfig, ConfigError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| {
        ConfigError::new(format!("the OTLP {what} cannot be used: {error}"))
    };
    let mut roots = RootCertStore::empty();
    if let Some(pem) = tls.ca() {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| bad("CA certificate", &error))?;
            roots.add(certificate).map_err(|error| bad("CA certificate", &error))?;
        }
        if roots.is_empty() {
            return Err(bad("CA certificate", &"it holds none"));
        }
    } else if secure {
        let system = rustls_native_certs::load_native_certs();
        // A broken one among many is of no interest. Where there are none, as in an image without that package, each
        // request fails and says what to do: the program starts, as it does behind a receiver that is not there.
        roots.add_parsable_certificates(system.certs);
    }
    // Its own provider: the process's default is the application's to choose.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS configuration", &error))?
        .with_root_certificates(roots);
    match tls.identity() {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let chain = chain.map_err(|error| bad("client certificate", &error))?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|error| bad("client key", &error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| bad("client certificate or key", &error))
        }
    }
}

/// What to do about an error of TLS; `None` if it is none, or one that may pass.
pub(super) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return of(error);
        }
        // An `io::Error`'s source is its inner error's source: the inner one would be skipped.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn of(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError::*;
    match error {
        rustls::Error::InvalidCertificate(why) => Some(match why {
            Expired | ExpiredContext { .. } => {
                "the receiver's certificate has expired: renew it there, or set this machine's clock"
            }
            NotValidYet | NotValidYetContext { .. } => {
                "the receiver's certificate is not valid yet: set this machine's clock"
            }
            NotValidForName | NotValidForNameContext { .. } => {
                "set OTEL_EXPORTER_OTLP_ENDPOINT to a host name that the receiver's certificate is \
                 made for"
            }
            UnknownIssuer | BadSignature => {
                "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority (CA) that \
                 signed the receiver's certificate, or install the system's package of CA certificates \
                 if it has none"
            }
            _ => {
                "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of an authority (CA) that \
                 vouches for the receiver's certificate"
            }
        }),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::HandshakeFailure,
        ) => Some(
            "the receiver wants a client certificate that it trusts: set \
             OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY to PEM files",
        ),
        rustls::Error::InvalidMessage(_) => Some(
            "what answers there speaks no TLS: set OTEL_EXPORTER_OTLP_ENDPOINT to http://, or to \
             the receiver's TLS port",
        ),
        _ => None,
    }
}

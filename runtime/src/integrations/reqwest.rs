//! A client span around every request that is sent with [`SendTraced::send_traced`].
//!
//! ```
//! use redspan::reqwest::SendTraced;
//!
//! async fn stock(client: &reqwest::Client) -> reqwest::Result<String> {
//!     let response = client.get("http://warehouse/stock").send_traced().await?;
//!     response.error_for_status()?.text().await
//! }
//! ```
//!
//! The span is named by the method, follows OpenTelemetry's [conventions], and its context travels
//! in the request's headers, as the global propagator writes them (`init!` installs W3C Trace
//! Context and baggage), so the server's span becomes its child. Of the URL, credentials, query
//! and fragment stay out.
//!
//! It covers redirects and ends when the head of the last response has arrived, as
//!
//! * `ok`;
//! * `error`, with a status of 4xx or 5xx (`error.type` is the code), or when there is no response
//!   at all (`error.type` is `timeout`, `dns`, `connect`, `redirect`, `body`, `decode`, `builder`,
//!   `upgrade` or `request`);
//! * `cancelled`, when the future is dropped before.
//!
//! Without `init!` nothing is recorded, and the current context is passed on all the same.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

use super::http as conventions;
use crate::call::classify;
use crate::call::owned::OwnedSpan;
use crate::context::current;
use crate::outcome::Outcome;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use ::reqwest::{Client, Error, Request, RequestBuilder, Response, Url};
use opentelemetry::propagation::Injector;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue, global};
use std::future::{Future, poll_fn};
use std::pin::pin;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind;
use tracing_core::{Level, Metadata};

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "request",
    target: "redspan::reqwest",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: Kind::SPAN,
};

/// Sends requests as client spans. See the [module](self).
pub trait SendTraced {
    /// Sends the request, as [`RequestBuilder::send`] does, inside a client span.
    ///
    /// The span starts with the first poll, below the span that is current then.
    ///
    /// # Errors
    /// Those of [`RequestBuilder::send`].
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl SendTraced for RequestBuilder {
    async fn send_traced(self) -> Result<Response, Error> {
        let (client, request) = self.build_split();
        send(client, request?).await
    }
}

async fn send(client: Client, mut request: Request) -> Result<Response, Error> {
    let parent = current::with(Context::clone).unwrap_or_default();
    let name = conventions::name(request.method(), None);
    let mut span =
        OwnedSpan::start(&parent, &METADATA, name, SpanKind::Client, attributes(&request));
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(span.context(), &mut Headers(request.headers_mut()));
    });
    let mut sending = pin!(client.execute(request));
    let result = poll_fn(|context| span.inside(|| sending.as_mut().poll(context))).await;
    end(&mut span, result)
}

/// Writes a context into headers, in place of what stood there.
struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            self.0.insert(name, value);
        }
    }
}

fn attributes(request: &Request) -> Vec<KeyValue> {
    let url = request.url();
    let mut attributes = Vec::with_capacity(6);
    conventions::push_method(&mut attributes, request.method());
    if let Some(host) = url.host_str() {
        conventions::push_server(&mut attributes, host, url.port_or_known_default());
    }
    attributes.push(KeyValue::new("url.full", without_secrets(url)));
    attributes
}

/// The URL without what may be secret or personal: nobody named it.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Refused where a URL cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn end(span: &mut OwnedSpan, result: Result<Response, Error>) -> Result<Response, Error> {
    match result {
        Ok(response) => {
            let status = response.status();
            span.set_attributes(vec![conventions::status(status)]);
            if status.is_client_error() || status.is_server_error() {
                span.finish(Outcome::Error, Some(conventions::failed(status)));
            } else {
                span.finish(Outcome::Ok, None);
            }
            Ok(response)
        }
        Err(error) => {
            // Its text would show the whole URL.
            let url = error.url().cloned();
            let error = error.without_url();
            span.finish(Outcome::Error, Some(classify::described(error_type(&error), &error)));
            Err(match url {
                Some(url) => error.with_url(url),
                None => error,
            })
        }
    }
}

/// Words that stay the same when texts and types of the libraries below change.
fn error_type(error: &Error) -> &'static str {
    match () {
        // A connection that took too long is a timeout, a name that was not found a failed connection.
        () if error.is_timeout() => "timeout",
        () if error.is_dns() => "dns",
        () if error.is_connect() => "connect",
        () if error.is_redirect() => "redirect",
        () if error.is_body() => "body",
        () if error.is_decode() => "decode",
        () if error.is_builder() => "builder",
        () if error.is_upgrade() => "upgrade",
        () if error.is_request() => "request",
        () => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_credentials_and_query() {
        for (url, shown) in [
            ("https://me:secret@host:8443/a/b?token=1#here", "https://host:8443/a/b"),
            ("http://host/?q", "http://host/"),
            ("http://[::1]:80/", "http://[::1]/"),
        ] {
            assert_eq!(without_secrets(&Url::parse(url).unwrap()), shown);
        }
    }
}

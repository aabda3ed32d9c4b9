//! What the exporter is given to reach the receiver: hyper for HTTP, a connector for gRPC, and with
//! both a note of what really happened.
//!
//! The exporter would choose a client by the features that any crate in the tree turned on, and it
//! reduces every failure to one text. The note keeps what the counters need.

use async_trait::async_trait;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tower_service::Service;

/// How the last attempt that ended did so.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// None has ended.
    #[default]
    None,
    /// With success.
    Taken,
    /// With success, for some of the spans.
    Partial { rejected: usize, message: String },
    /// With another status.
    Status(u16),
    /// Not in time.
    TimedOut,
    /// Without a connection, or with a broken one.
    Unreachable(String),
}

/// The last answer, shared between a client and its sink.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Answer>>);

impl Answers {
    pub(super) fn put(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    pub(super) fn take(&self) -> Answer {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hyper without TLS, with the settings' headers instead of those the exporter found.
#[derive(Debug)]
pub(super) struct Client {
    inner: HyperClient,
    headers: HeaderMap,
    answers: Answers,
}

impl Client {
    pub(super) fn new(timeout: Duration, headers: HeaderMap, answers: Answers) -> Self {
        Client { inner: HyperClient::with_default_connector(timeout, None), headers, answers }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // What is known of the attempt before stays until this one has ended: an export that is cut
        // off in between has then a reason.
        let mut headers = self.headers.clone();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH] {
            if let Some(value) = request.headers_mut().remove(&name) {
                headers.insert(name, value);
            }
        }
        *request.headers_mut() = headers;
        let result = self.inner.send_bytes(request).await;
        self.answers.put(match &result {
            Ok(response) if response.status().is_success() => taken(response.body()),
            Ok(response) => Answer::Status(response.status().as_u16()),
            Err(error) if error.is::<Elapsed>() => Answer::TimedOut,
            Err(error) => Answer::Unreachable(chain(&**error)),
        });
        result
    }
}

/// Connects for gRPC, and notes when that fails: an export that is cut off between two attempts
/// would otherwise have no reason to show.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: HttpConnector,
    answers: Answers,
}

impl Connector {
    pub(super) fn new(answers: Answers) -> Self {
        let mut inner = HttpConnector::new();
        // Requests are one write and an answer: waiting to fill a packet only delays them.
        inner.set_nodelay(true);
        Connector { inner, answers }
    }
}

type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Uri> for Connector {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, answers) = (self.inner.call(uri), self.answers.clone());
        Box::pin(async move {
            let result = connecting.await;
            answers.put(match &result {
                Ok(_) => Answer::None,
                Err(error) => Answer::Unreachable(chain(error)),
            });
            result
        })
    }
}

/// Success may come with a number of spans that were not taken after all. A body that is not
/// understood is no reason to doubt the status.
fn taken(body: &Bytes) -> Answer {
    let partial = ExportTraceServiceResponse::decode(body.as_ref()).ok();
    match partial.and_then(|response| response.partial_success) {
        Some(partial) if partial.rejected_spans > 0 => Answer::Partial {
            rejected: usize::try_from(partial.rejected_spans).unwrap_or(usize::MAX),
            message: partial.error_message,
        },
        _ => Answer::Taken,
    }
}

/// An error with its sources: hyper's own words alone are "client error (Connect)".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

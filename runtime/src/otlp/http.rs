//! One request over HTTP, and what its answer means.

use super::answer::{Attempt, Failure, MAX_ANSWER, Sent, words};
use super::client::{Body, Client, broken};
use super::parts::Parts;
use super::pause::retry_after;
use super::signal::Request;
use crate::config::otlp::{Compression, OtlpSettings, Protocol, Signal};
use bytes::{Buf, Bytes};
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use serde_json::{Map, Value};
use std::io;
use std::time::Duration;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The body, packed as asked.
pub(super) fn packed(mut body: Parts, compression: Compression) -> Result<Parts, Failure> {
    let packed = match compression {
        Compression::None => return Ok(body),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::copy(&mut body.reader(), &mut encoder).and_then(|_| encoder.finish())
        }
        Compression::Zstd => {
            let whole = body.copy_to_bytes(body.remaining());
            zstd::bulk::compress(&whole, zstd::DEFAULT_COMPRESSION_LEVEL)
        }
    };
    packed.map(Parts::from).map_err(|error| Failure::new("other", format!("not packed: {error}")))
}

/// Sends `body` once.
pub(super) async fn attempt<R: Request>(
    client: &Client,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &OtlpSettings,
    body: Parts,
) -> Attempt {
    let Client::Http { hyper, .. } = client else {
        return Attempt::failed("other", "the client speaks gRPC");
    };
    let mut request = http::Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers.clone();
    let json = settings.protocol == Protocol::HttpJson;
    let content = HeaderValue::from_static(if json { JSON } else { PROTOBUF });
    request.headers_mut().insert(CONTENT_TYPE, content);
    let encoding = match settings.compression {
        Compression::None => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
    };
    if let Some(encoding) = encoding {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let answer = match hyper.request(request).await {
        Ok(answer) => answer,
        Err(error) => return broken(&error),
    };
    let (head, body) = answer.into_parts();
    let body = read(body).await;
    if head.status.is_success() {
        if is_a_page(&head.headers) {
            let message = "a web page came back: what answers at this address is no OTLP receiver";
            return Attempt::failed("rejected", message);
        }
        return match body {
            Ok(body) => Attempt::Done(taken::<R>(&head.headers, &body)),
            // The status was success: sending it again would have it there twice.
            Err(TooLong) => Attempt::Done(Sent::Unread),
        };
    }
    let said = body.ok().and_then(|body| said(&body)).map_or(String::new(), |it| format!(": {it}"));
    let mut message =
        format!("the receiver answered with HTTP status {}{said}", head.status.as_u16());
    let path = R::SIGNAL.path();
    match head.status.as_u16() {
        300..400 => message.push_str(&elsewhere(&head.headers)),
        // Receivers have one path for each signal, and elsewhere nothing.
        404 | 405 if !uri.path().ends_with(path) => {
            let name = path.trim_start_matches("/v1/").to_ascii_uppercase();
            message.push_str(&format!(
                ": receivers mostly take this at {path}, and not at {}: OTEL_EXPORTER_OTLP_{name}_ENDPOINT is the \
                 whole address, and OTEL_EXPORTER_OTLP_ENDPOINT one to which the path is added",
                uri.path()
            ));
        }
        404 | 405 => message.push_str(added_twice(uri.path(), path)),
        _ => {}
    }
    let failure = Failure::new(kind(head.status), message);
    match head.status.as_u16() {
        429 | 502 | 503 | 504 => {
            let asked = head.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
            Attempt::Again { failure, after: asked.and_then(retry_after) }
        }
        _ => Attempt::Done(Sent::Failed(failure)),
    }
}

/// What to do where the address for all signals has one signal's path already.
fn added_twice(asked: &str, path: &str) -> &'static str {
    let paths = [Signal::Traces, Signal::Metrics, Signal::Logs].map(Signal::path);
    match asked.strip_suffix(path) {
        Some(base) if paths.iter().any(|path| base.ends_with(path)) => {
            ": the path of a signal stands there twice: leave it out of OTEL_EXPORTER_OTLP_ENDPOINT, to which \
             that of each signal is added"
        }
        _ => "",
    }
}

/// Where the receiver says that it is, and what to do. Nothing is sent there by itself: its headers are for the one
/// that the operator has named.
fn elsewhere(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|it| it.to_str().ok()?.parse::<Uri>().ok());
    let host = location.as_ref().and_then(Uri::authority).map(|it| it.as_str());
    // Neither the name of a user nor a query is shown.
    let host = host.map(|it| it.rsplit('@').next().unwrap_or_default());
    match location.as_ref().map(|it| (it.scheme_str(), host, it.path())) {
        Some((Some(scheme), Some(host), path)) => format!(
            ": it points to {scheme}://{host}{path}, which is not followed: set OTEL_EXPORTER_OTLP_ENDPOINT to \
             where the receiver is"
        ),
        _ => String::new(),
    }
}

/// A proxy that asks to log in, or another program's port, says 200 to everything; no receiver says it in HTML.
fn is_a_page(headers: &HeaderMap) -> bool {
    is_said_to_be(headers, "text/html")
}

/// Whether a body is of this kind, whatever more is said of it.
fn is_said_to_be(headers: &HeaderMap, kind: &str) -> bool {
    let content = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()))
}

/// How long an answer may take that has begun: its few bytes come with its head.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// It is longer than anything that is an answer, it broke off, or its end does not come.
struct TooLong;

async fn read(body: Body) -> Result<Bytes, TooLong> {
    let read = tokio::time::timeout(MAX_WAIT, Limited::new(body, MAX_ANSWER).collect()).await;
    read.ok().and_then(Result::ok).map(|body| body.to_bytes()).ok_or(TooLong)
}

fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "throttled",
        300..500 => "rejected",
        500.. => "server",
        _ => "other",
    }
}

/// Success may come with a number of items that were not taken after all. A body that is not
/// understood is no reason to doubt the status.
fn taken<R: Request>(headers: &HeaderMap, body: &Bytes) -> Sent {
    // Many say no more than that, whatever they call it.
    if body.is_empty() {
        return Sent::Taken;
    }
    let json = || partial_json(body, R::REJECTED);
    let partial = match is_said_to_be(headers, JSON) {
        true => json(),
        false => R::Response::decode(body.as_ref()).ok().map(R::partial).or_else(json),
    };
    partial.map_or(Sent::Unread, partly)
}

/// How many items were rejected and why, as JSON says it; none, if it does not. Whole numbers of 64 bits are texts
/// there, which opentelemetry-proto does not take here, and a name may be that of the field.
/// <https://protobuf.dev/programming-guides/json/>
#[expect(
    clippy::option_option,
    reason = "an answer that cannot be read is not one that says nothing"
)]
fn partial_json(body: &[u8], rejected: [&str; 2]) -> Option<Option<(i64, String)>> {
    fn of<'a>(map: &'a Map<String, Value>, names: [&str; 2]) -> Option<&'a Value> {
        names.into_iter().find_map(|name| map.get(name)).filter(|value| !value.is_null())
    }
    let said: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let Some(partial) = of(&said, ["partialSuccess", "partial_success"]) else { return Some(None) };
    let partial = partial.as_object()?;
    let rejected = match of(partial, rejected) {
        None => 0,
        Some(Value::String(text)) => text.parse().ok()?,
        Some(number) => number.as_i64()?,
    };
    let message = match of(partial, ["errorMessage", "error_message"]) {
        None => String::new(),
        Some(message) => message.as_str()?.to_owned(),
    };
    Some(Some((rejected, message)))
}

/// What was not taken, and what the receiver says of it.
pub(super) fn partly(partial: Option<(i64, String)>) -> Sent {
    match partial {
        Some((rejected, message)) if rejected > 0 || !message.is_empty() => Sent::Partly {
            rejected: usize::try_from(rejected).unwrap_or_default(),
            message: words(&message).unwrap_or_default(),
        },
        _ => Sent::Taken,
    }
}

/// The receiver's own words, as text or as the specification's `Status`.
fn said(body: &Bytes) -> Option<String> {
    let status = tonic_types::Status::decode(body.as_ref()).ok();
    let message = status.map(|status| status.message).filter(|it| !it.is_empty());
    match message {
        Some(message) => words(&message),
        None => words(std::str::from_utf8(body).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    #[test]
    fn statuses_part_into_rejected_throttled_and_server() {
        for (status, expected) in [
            (301, "rejected"),
            (400, "rejected"),
            (401, "rejected"),
            (429, "throttled"),
            (500, "server"),
            (503, "server"),
        ] {
            assert_eq!(kind(StatusCode::from_u16(status).expect("a status")), expected, "{status}");
        }
    }

    #[test]
    fn json_says_how_many_as_text_or_as_a_number() {
        let partly = |rejected, message: &str| Sent::Partly { rejected, message: message.into() };
        for (body, expected) in [
            ("{}", Sent::Taken),
            (r#"{"partialSuccess":null}"#, Sent::Taken),
            (r#"{"partialSuccess":{}}"#, Sent::Taken),
            (r#"{"partialSuccess":{"rejectedSpans":"0","errorMessage":""}}"#, Sent::Taken),
            (r#"{"partialSuccess":{"rejectedSpans":"5"}}"#, partly(5, "")),
            (r#"{"partialSuccess":{"rejectedSpans":5,"errorMessage":"why"}}"#, partly(5, "why")),
            (
                r#"{"partial_success":{"rejected_spans":"5","error_message":"why"}}"#,
                partly(5, "why"),
            ),
            (
                r#"{"partialSuccess":{"errorMessage":"soon full"},"new":[1]}"#,
                partly(0, "soon full"),
            ),
            (r#"{"partialSuccess":{"rejectedSpans":"five"}}"#, Sent::Unread),
            (r#"{"partialSuccess":7}"#, Sent::Unread),
            ("[]", Sent::Unread),
            ("OK", Sent::Unread),
        ] {
            let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))]);
            for headers in [json, HeaderMap::new()] {
                let body = Bytes::from_static(body.as_bytes());
                let sent = taken::<ExportTraceServiceRequest>(&headers, &body);
                assert_eq!(sent, expected, "{body:?} {headers:?}");
            }
        }
    }
}

//! One request over gRPC, and what its answer means.

use super::answer::{Attempt, Failure, MAX_ANSWER, Sent, words};
use super::client::{Body, Client, Hyper, broken};
use super::http::partly;
use super::parts::Parts;
use super::pause::retry_after;
use super::signal::Request;
use crate::config::otlp::Compression;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::MapFrame;
use hyper::body::Frame;
use hyper_util::client::legacy;
use prost::Message;
use std::error::Error;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower_service::Service;

/// Sends `body` once.
pub(super) async fn attempt<R: Request>(
    client: &Client,
    origin: &Uri,
    headers: &HeaderMap,
    compression: Compression,
    body: Parts,
) -> Attempt {
    let Client::Grpc { hyper, .. } = client else {
        return Attempt::failed("other", "the client speaks HTTP");
    };
    let service = WithHeaders { hyper: hyper.clone(), headers: headers.clone() };
    let mut grpc = Grpc::with_origin(service, origin.clone())
        .max_decoding_message_size(MAX_ANSWER)
        .accept_compressed(CompressionEncoding::Gzip);
    match compression {
        Compression::None => {}
        Compression::Gzip => grpc = grpc.send_compressed(CompressionEncoding::Gzip),
        Compression::Zstd => grpc = grpc.send_compressed(CompressionEncoding::Zstd),
    }
    let method = PathAndQuery::from_static(R::METHOD);
    let answer = grpc.unary(tonic::Request::new(body), method, Encoded::<R>(PhantomData)).await;
    match answer {
        Ok(response) => {
            Attempt::Done(response.into_inner().map_or(Sent::Unread, |it| partly(R::partial(it))))
        }
        Err(status) => match refused(&status) {
            Attempt::Done(Sent::Failed(Failure { kind, message }))
                if status.code() == Code::Unimplemented && has_path(origin) =>
            {
                Attempt::failed(kind, format!("{message}{WITH_PATH}"))
            }
            attempt => attempt,
        },
    }
}

/// What may be wrong where nobody knows the method.
const WITH_PATH: &str =
    ": the address has a path, which stands before that of each method: over gRPC leave it out";

fn has_path(origin: &Uri) -> bool {
    !matches!(origin.path(), "" | "/")
}

/// What a status means that is not success.
/// <https://opentelemetry.io/docs/specs/otlp/#failures>
fn refused(status: &Status) -> Attempt {
    if let Some(error) = status.source() {
        return broken(error);
    }
    let said = words(status.message()).map_or(String::new(), |it| format!(": {it}"));
    // tonic's own words: what came is too long, here or there, and will be so again.
    if status.code() == Code::OutOfRange && status.message().contains("decoded message length") {
        return match status.message().contains(&format!("limit is: {MAX_ANSWER} bytes")) {
            // It is longer than any that means something.
            true => Attempt::failed("answer", format!("the receiver's answer is too long{said}")),
            false => {
                Attempt::failed("rejected", format!("the receiver takes no request so long{said}"))
            }
        };
    }
    let message = format!("the receiver answered with gRPC status {:?}{said}", status.code());
    let failure = Failure::new(kind(status.code()), message);
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    // From a proxy that answers for it.
    let header = status.metadata().get("retry-after").and_then(|it| it.to_str().ok());
    let after = asked.or_else(|| header.and_then(retry_after));
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Attempt::Again { failure, after },
        // It says by that that it will pass.
        Code::ResourceExhausted if after.is_some() => Attempt::Again { failure, after },
        _ => Attempt::failed(failure.kind, failure.message),
    }
}

fn kind(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "server",
        Code::DeadlineExceeded => "timeout",
        Code::ResourceExhausted => "throttled",
        Code::Unknown | Code::Internal | Code::DataLoss | Code::Aborted | Code::Cancelled => {
            "server"
        }
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => "rejected",
        Code::Ok => "other",
    }
}

/// The client, which adds the settings' headers.
struct WithHeaders {
    hyper: Hyper<tonic::body::Body>,
    headers: HeaderMap,
}

impl Service<http::Request<tonic::body::Body>> for WithHeaders {
    type Response = http::Response<Cleaned>;
    type Error = legacy::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        for (name, value) in &self.headers {
            request.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        let answer = self.hyper.request(request);
        Box::pin(async move {
            let (mut head, body) = answer.await?.into_parts();
            clean(&mut head.headers);
            let cleaned: fn(Frame<Bytes>) -> Frame<Bytes> = |mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    clean(trailers);
                }
                frame
            };
            Ok(http::Response::from_parts(head, body.map_frame(cleaned)))
        })
    }
}

/// The body of an answer that has no trailers which are none.
type Cleaned = MapFrame<Body, fn(Frame<Bytes>) -> Frame<Bytes>>;

/// Leaves details out that are no base64: tonic panics at them, and who answers may be anybody.
fn clean(headers: &mut HeaderMap) {
    let Some(details) = headers.get(Status::GRPC_STATUS_DETAILS) else { return };
    let alone = HeaderMap::from_iter([(Status::GRPC_STATUS_DETAILS, details.clone())]);
    let read = MetadataMap::from_headers(alone);
    let bytes = read.get_bin(Status::GRPC_STATUS_DETAILS.as_str()).map(|it| it.to_bytes());
    if !matches!(bytes, Some(Ok(_))) {
        headers.remove(Status::GRPC_STATUS_DETAILS);
    }
}

/// Requests that are encoded already, so that one more attempt costs no encoding.
struct Encoded<R>(PhantomData<fn(R)>);

struct AsIs;

struct Response<R>(PhantomData<fn(R)>);

impl<R: Request> Codec for Encoded<R> {
    type Encode = Parts;
    type Decode = Option<R::Response>;
    type Encoder = AsIs;
    type Decoder = Response<R>;

    fn encoder(&mut self) -> AsIs {
        AsIs
    }

    fn decoder(&mut self) -> Response<R> {
        Response(PhantomData)
    }
}

impl Encoder for AsIs {
    type Item = Parts;
    type Error = Status;

    fn encode(&mut self, item: Parts, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(item.remaining());
        to.put(item);
        Ok(())
    }
}

impl<R: Request> Decoder for Response<R> {
    type Item = Option<R::Response>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let body = from.copy_to_bytes(from.remaining());
        // A message that is not understood is no reason to doubt the status that follows.
        Ok(Some(R::Response::decode(body).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_kind() {
        use Code::*;
        for (code, expected) in [
            (Cancelled, "server"),
            (Unknown, "server"),
            (InvalidArgument, "rejected"),
            (DeadlineExceeded, "timeout"),
            (NotFound, "rejected"),
            (AlreadyExists, "rejected"),
            (PermissionDenied, "rejected"),
            (ResourceExhausted, "throttled"),
            (FailedPrecondition, "rejected"),
            (Aborted, "server"),
            (OutOfRange, "rejected"),
            (Unimplemented, "rejected"),
            (Internal, "server"),
            (Unavailable, "server"),
            (DataLoss, "server"),
            (Unauthenticated, "rejected"),
        ] {
            assert_eq!(kind(code), expected, "{code:?}");
        }
    }

    #[test]
    fn details_that_are_none_are_left_out() {
        for (details, stays) in [
            ("CAg", true),
            ("CAg=", true),
            ("", true),
            ("!!!!", false),
            ("C", false),
            ("CAg\t", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", 8.into());
            headers.insert(Status::GRPC_STATUS_DETAILS, details.parse().unwrap());
            clean(&mut headers);
            assert_eq!(headers.contains_key(Status::GRPC_STATUS_DETAILS), stays, "{details}");
            // It does not panic.
            assert!(Status::from_header_map(&headers).is_some());
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let again = |status: &Status| matches!(refused(status), Attempt::Again { .. });
        for code in [Code::Cancelled, Code::Unavailable, Code::DataLoss, Code::OutOfRange] {
            assert!(again(&Status::new(code, "x")), "{code:?}");
        }
        for code in [Code::Internal, Code::InvalidArgument, Code::ResourceExhausted] {
            assert!(!again(&Status::new(code, "x")), "{code:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_for_good_whoever_it_is_too_long_for() {
        for (limit, expected) in [(MAX_ANSWER, "answer"), (4 << 20, "rejected")] {
            let text = format!(
                "Error, decoded message length too large: found 5000000 bytes, the limit is: {limit} bytes"
            );
            let Attempt::Done(Sent::Failed(failure)) = refused(&Status::out_of_range(text)) else {
                panic!("it is not tried again");
            };
            assert_eq!(failure.kind, expected, "{failure}");
        }
    }
}

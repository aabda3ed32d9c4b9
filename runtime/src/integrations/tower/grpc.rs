//! What clients of gRPC are told where a service gave no answer: they look for a status in trailers, and read any of
//! HTTP's but 200 as a proxy's.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, response};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Which of gRPC's forms a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Grpc,
    /// Its trailers are the end of its body.
    Web,
    WebText,
}

/// A status that stands in place of the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    DeadlineExceeded,
    Internal,
}

impl Form {
    pub(super) fn of<B>(request: &Request<B>) -> Option<Form> {
        // All of its requests are, and few others have a content type.
        if *request.method() != Method::POST {
            return None;
        }
        let said = request.headers().get(CONTENT_TYPE)?.as_bytes();
        let end = said.iter().position(|byte| matches!(byte, b'+' | b';' | b' '));
        match said[..end.unwrap_or(said.len())].to_ascii_lowercase().as_slice() {
            b"application/grpc" => Some(Form::Grpc),
            b"application/grpc-web" => Some(Form::Web),
            b"application/grpc-web-text" => Some(Form::WebText),
            _ => None,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Grpc => "application/grpc",
            Form::Web => "application/grpc-web+proto",
            Form::WebText => "application/grpc-web-text+proto",
        })
    }

    /// Makes a head all of the answer: what is said in trailers elsewhere may stand there.
    pub(super) fn fail(self, head: &mut response::Parts, code: Code) {
        head.status = StatusCode::OK;
        head.headers.insert(CONTENT_TYPE, self.content_type());
        head.headers.extend(code.trailers());
    }
}

impl Code {
    pub(super) fn trailers(self) -> HeaderMap {
        let (status, message) = match self {
            Code::DeadlineExceeded => ("4", "the service took too long"),
            Code::Internal => ("13", "internal error"),
        };
        let entries = [(STATUS, status), (MESSAGE, message)];
        entries.into_iter().map(|(name, said)| (name, HeaderValue::from_static(said))).collect()
    }
}

/// Whether a head says that all of an answer is an error of gRPC's.
pub(super) fn is_failed(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_speaks_grpc_if_its_content_type_says_so() {
        for (said, form) in [
            ("application/grpc", Some(Form::Grpc)),
            ("Application/gRPC+proto", Some(Form::Grpc)),
            ("application/grpc;charset=x", Some(Form::Grpc)),
            ("application/grpc-web+proto", Some(Form::Web)),
            ("application/grpc-web-text", Some(Form::WebText)),
            ("application/grpcs", None),
            ("application/json", None),
            ("", None),
        ] {
            let request = |method| {
                Request::builder().method(method).header(CONTENT_TYPE, said).body(()).unwrap()
            };
            assert_eq!(Form::of(&request(Method::POST)), form, "{said}");
            assert_eq!(Form::of(&request(Method::GET)), None, "{said}");
        }
    }
}

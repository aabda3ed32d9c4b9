//! What a protocol's answer says of the call that gives it, or gets it.
//!
//! A server that answers 404, or `NOT_FOUND`, has done its work; one that answers 500, or `INTERNAL`,
//! has not. To a client either is an error. That is how the conventions have it, and it holds for
//! the answer wherever it stands: as the value, in `Ok`, in `Err`, or in front of a tuple.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status>
//! <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>

use super::Returned;

/// What a value answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is no answer.
    No,
    /// No fault.
    Fine,
    /// A fault.
    Fault(Fault),
}

/// An answer that tells of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) error_type: &'static str,
    /// Whether it is the client's: then it is an error to the client alone.
    pub(super) clients: bool,
}

/// An answer of HTTP or gRPC.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer of HTTP or gRPC",
    label = "the type of what is returned is not known here",
    note = "nobody has to be one: tell the type of the error where it is measured, `-> Result<T, Error> {{ … }}`, or `Ok::<_, Error>(…)` at the end of an `async` block"
)]
pub trait Answer {
    /// What it says.
    fn answered(&self) -> Answered;
}

impl<A: Answer + ?Sized> Answer for Box<A> {
    fn answered(&self) -> Answered {
        A::answered(self)
    }
}

/// Finds the answer in a value, by its type: the first implementation that fits wins.
pub trait Find {
    /// What the value answers.
    fn __redspan_answer(&self) -> Answered;
}

impl<A: Answer, E: Answer> Find for &&&&Returned<'_, Result<A, E>> {
    #[inline]
    fn __redspan_answer(&self) -> Answered {
        match self.0 {
            Ok(answer) => answer.answered(),
            Err(answer) => answer.answered(),
        }
    }
}

impl<A: Answer, E> Find for &&&Returned<'_, Result<A, E>> {
    #[inline]
    fn __redspan_answer(&self) -> Answered {
        match self.0 {
            Ok(answer) => answer.answered(),
            Err(_) => Answered::No,
        }
    }
}

impl<T, E: Answer> Find for &&Returned<'_, Result<T, E>> {
    #[inline]
    fn __redspan_answer(&self) -> Answered {
        match self.0 {
            Ok(_) => Answered::No,
            Err(answer) => answer.answered(),
        }
    }
}

impl<A: Answer> Find for &Returned<'_, A> {
    #[inline]
    fn __redspan_answer(&self) -> Answered {
        self.0.answered()
    }
}

impl<T: ?Sized> Find for Returned<'_, T> {
    #[inline]
    fn __redspan_answer(&self) -> Answered {
        Answered::No
    }
}

#[cfg(feature = "_http")]
mod http {
    use super::{Answer, Answered, Fault};
    use ::http::response::Parts;
    use ::http::{Response, StatusCode};

    /// The codes from 400 on in words: `StatusCode::as_str` lives no longer than the code. From 600 on nobody
    /// knows what they mean: that is no success.
    const CODES: [[u8; 3]; 600] = {
        let mut codes = [[b'0'; 3]; 600];
        let mut at = 0;
        while at < codes.len() {
            let digits = [at / 100 + 4, at / 10 % 10, at % 10];
            codes[at] = [b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8];
            at += 1;
        }
        codes
    };
    static WORDS: [[u8; 3]; 600] = CODES;

    impl Answer for StatusCode {
        fn answered(&self) -> Answered {
            let word = usize::from(self.as_u16()).checked_sub(400).and_then(|at| WORDS.get(at));
            match word.and_then(|word| str::from_utf8(word).ok()) {
                Some(error_type) => {
                    Answered::Fault(Fault { error_type, clients: self.is_client_error() })
                }
                None => Answered::Fine,
            }
        }
    }

    impl<B> Answer for Response<B> {
        fn answered(&self) -> Answered {
            self.status().answered()
        }
    }

    impl Answer for Parts {
        fn answered(&self) -> Answered {
            self.status.answered()
        }
    }

    // As axum and others make a response of a tuple.
    macro_rules! tuples {
        ($(($($rest:ident),+))*) => {$(
            impl<$($rest),+> Answer for (StatusCode, $($rest),+) {
                fn answered(&self) -> Answered {
                    self.0.answered()
                }
            }
        )*};
    }

    tuples!((A)(A, B)(A, B, C)(A, B, C, D));

    #[cfg(test)]
    #[allow(clippy::needless_borrow, reason = "as many as the generated code writes")]
    mod tests {
        use super::*;
        use crate::call::classify::Returned;
        use crate::call::classify::answer::Find;

        #[test]
        fn a_status_is_found_wherever_it_stands() {
            let fault = |error_type, clients| Answered::Fault(Fault { error_type, clients });
            let failed = StatusCode::SERVICE_UNAVAILABLE;
            let missing = StatusCode::NOT_FOUND;
            let response = Response::builder().status(failed).body(()).unwrap();
            assert_eq!((&&&&&Returned(&failed)).__redspan_answer(), fault("503", false));
            assert_eq!((&&&&&Returned(&response)).__redspan_answer(), fault("503", false));
            let unheard_of = StatusCode::from_u16(799).unwrap();
            assert_eq!((&&&&&Returned(&unheard_of)).__redspan_answer(), fault("799", false));
            let out = (missing, "no such user");
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), fault("404", true));
            let out: Result<&str, _> = Err((failed, "down"));
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), fault("503", false));
            let out: Result<_, String> = Ok(response);
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), fault("503", false));
            let out: Result<(StatusCode, &str), StatusCode> = Ok((StatusCode::CREATED, "made"));
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), Answered::Fine);
            let out: Result<StatusCode, String> = Err(String::new());
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), Answered::No);
            assert_eq!((&&&&&Returned(&503)).__redspan_answer(), Answered::No);
        }
    }
}

#[cfg(feature = "axum")]
mod axum {
    use super::{Answer, Answered};
    use crate::red::sets::Text;
    use ::axum::extract::rejection::{
        BytesRejection, ExtensionRejection, JsonRejection, PathRejection, QueryRejection,
        StringRejection,
    };
    use ::axum::response::ErrorResponse;
    use ::http::StatusCode;

    /// What `axum::response::Result` fails with: it hands its status to nobody, and shows it in its debug text.
    impl Answer for ErrorResponse {
        fn answered(&self) -> Answered {
            let text = Text::of(&format_args!("{self:?}"));
            let status = text.as_str().strip_prefix(BEFORE).and_then(|status| status.get(..DIGITS));
            // Where it begins otherwise, nothing is known: it is an error as any other.
            let status = status.and_then(|digits| digits.parse::<StatusCode>().ok());
            status.map_or(Answered::No, |status| status.answered())
        }
    }

    // What a handler hands on that has asked for `Result<Json<T>, JsonRejection>`.
    macro_rules! rejections {
        ($($rejection:ty),*) => {$(
            impl Answer for $rejection {
                fn answered(&self) -> Answered {
                    self.status().answered()
                }
            }
        )*};
    }

    rejections!(
        BytesRejection,
        ExtensionRejection,
        JsonRejection,
        PathRejection,
        QueryRejection,
        StringRejection
    );

    const BEFORE: &str = "ErrorResponse(Response { status: ";
    const DIGITS: usize = 3;

    #[cfg(test)]
    #[allow(clippy::needless_borrow, reason = "as many as the generated code writes")]
    mod tests {
        use super::*;
        use crate::call::classify::Returned;
        use crate::call::classify::answer::{Fault, Find};
        use ::axum::extract::Query;

        #[test]
        fn what_was_asked_for_wrongly_is_the_clients_fault() {
            let asked = "/?n=many".parse().unwrap();
            let out: Result<Query<std::collections::BTreeMap<String, u8>>, QueryRejection> =
                Query::try_from_uri(&asked);
            let fault = Answered::Fault(Fault { error_type: "400", clients: true });
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), fault);
        }

        #[test]
        fn an_error_that_axum_makes_of_anything_shows_its_status() {
            let fault = |error_type, clients| Answered::Fault(Fault { error_type, clients });
            for (status, expected) in [
                (StatusCode::NOT_FOUND, fault("404", true)),
                (StatusCode::BAD_GATEWAY, fault("502", false)),
                (StatusCode::FOUND, Answered::Fine),
                (StatusCode::from_u16(799).unwrap(), fault("799", false)),
            ] {
                let out: ::axum::response::Result<&str> =
                    Err((status, [("location", "here")], "a body").into());
                assert_eq!((&&&&&Returned(&out)).__redspan_answer(), expected, "{status}");
            }
        }
    }
}

#[cfg(feature = "tonic")]
mod tonic {
    use super::{Answer, Answered, Fault};
    use ::tonic::{Code, Status};

    impl Answer for Code {
        fn answered(&self) -> Answered {
            // The codes that the conventions call errors of a server.
            // <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>
            let (error_type, clients) = match self {
                Code::Ok => return Answered::Fine,
                Code::Cancelled => ("CANCELLED", true),
                Code::Unknown => ("UNKNOWN", false),
                Code::InvalidArgument => ("INVALID_ARGUMENT", true),
                Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", false),
                Code::NotFound => ("NOT_FOUND", true),
                Code::AlreadyExists => ("ALREADY_EXISTS", true),
                Code::PermissionDenied => ("PERMISSION_DENIED", true),
                Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", true),
                Code::FailedPrecondition => ("FAILED_PRECONDITION", true),
                Code::Aborted => ("ABORTED", true),
                Code::OutOfRange => ("OUT_OF_RANGE", true),
                Code::Unimplemented => ("UNIMPLEMENTED", false),
                Code::Internal => ("INTERNAL", false),
                Code::Unavailable => ("UNAVAILABLE", false),
                Code::DataLoss => ("DATA_LOSS", false),
                Code::Unauthenticated => ("UNAUTHENTICATED", true),
            };
            Answered::Fault(Fault { error_type, clients })
        }
    }

    impl Answer for Status {
        fn answered(&self) -> Answered {
            self.code().answered()
        }
    }

    #[cfg(test)]
    #[allow(clippy::needless_borrow, reason = "as many as the generated code writes")]
    mod tests {
        use super::*;
        use crate::call::classify::Returned;
        use crate::call::classify::answer::Find;

        #[test]
        fn a_servers_fault_is_told_from_a_clients() {
            let answered = |status: Status| {
                let out: Result<::tonic::Response<()>, _> = Err(status);
                (&&&&&Returned(&out)).__redspan_answer()
            };
            let fault = |error_type, clients| Answered::Fault(Fault { error_type, clients });
            assert_eq!(answered(Status::internal("x")), fault("INTERNAL", false));
            assert_eq!(answered(Status::not_found("x")), fault("NOT_FOUND", true));
            let out: Result<(), Box<Status>> = Err(Box::new(Status::unavailable("x")));
            assert_eq!((&&&&&Returned(&out)).__redspan_answer(), fault("UNAVAILABLE", false));
        }
    }
}

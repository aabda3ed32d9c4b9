//! What an error says of itself.

use std::fmt;
use tracing_core::Level;

/// What telemetry has to know of an error: a stable word for `error.type`, who is to blame, whether it is
/// worth a second try, how loud it is.
///
/// Derive it ([`derive@ErrorType`](macro@crate::ErrorType)), beside `thiserror` or without. When a function
/// under [`instrumented`](macro@crate::instrumented) returns such an error, its span has
///
/// | attribute | value |
/// |---|---|
/// | `error.type` | [`error_type`](Self::error_type), in place of the type's path |
/// | `redspan.error.blame` | `client` or `server` |
/// | `redspan.error.retryable` | `true`, where it is |
///
/// and the event `exception`, where there is one, has its `level`.
///
/// Whoever is to blame, the call's outcome is `error` in its metrics, and its span's status is Error:
/// numbers and spans agree, and OpenTelemetry asks for the status of an operation that failed
/// (<https://opentelemetry.io/docs/specs/semconv/general/recording-errors/>). Its exception, that a request which was the
/// client's fault leaves the server span's status unset, is about HTTP's status codes from 400 to 499; the
/// layers for servers follow it. Where a client's error is no error to you, say so: `error_if`.
///
/// ```
/// use redspan::{Blame, ErrorType};
///
/// #[derive(ErrorType)]
/// enum ChargeError {
///     #[error_type(client)]
///     CardDeclined,
///     #[error_type(retryable)]
///     Gateway(std::io::Error),
///     #[error_type("limit", client, level = "info")]
///     OverLimit { cents: u64 },
/// }
///
/// let declined = ChargeError::CardDeclined;
/// assert_eq!(declined.error_type(), "card_declined");
/// assert_eq!(declined.blame(), Blame::Client);
/// assert_eq!(ChargeError::OverLimit { cents: 1 }.error_type(), "limit");
/// assert!(ChargeError::Gateway(std::io::ErrorKind::TimedOut.into()).retryable());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what kind of error it is",
    label = "write `#[derive(redspan::ErrorType)]` on this error",
    note = "if it is of another crate, name its kind where it is held: `#[error_type(\"name\")]`",
    note = "as the error of a `measured!` it need not, but its type has to be told there: `-> Result<T, Error> {{ … }}`, `Ok::<_, Error>(…)`"
)]
pub trait ErrorType {
    /// The value of `error.type`: one of few words, so never made of what the error holds.
    fn error_type(&self) -> &'static str;

    /// Whose fault it is; the server's, unless somebody knows better.
    fn blame(&self) -> Blame {
        Blame::Server
    }

    /// Whether the same call may succeed if it is made again.
    fn retryable(&self) -> bool {
        false
    }

    /// How loud the error is; by [`blame`](Self::blame) if it does not say: [`Blame::level`].
    fn level(&self) -> Option<Level> {
        None
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller's: what it asked for cannot be done, by anybody.
    Client,
    /// Ours, or of what we depend on.
    Server,
}

impl Blame {
    /// The value of the attribute `redspan.error.blame`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Blame::Client => "client",
            Blame::Server => "server",
        }
    }

    /// How loud an error is that does not say so itself: WARN if the client is to blame, ERROR if the
    /// server is.
    pub const fn level(self) -> Level {
        match self {
            Blame::Client => Level::WARN,
            Blame::Server => Level::ERROR,
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! forwarded {
    ($($pointer:ty),*) => {$(
        impl<T: ErrorType + ?Sized> ErrorType for $pointer {
            fn error_type(&self) -> &'static str {
                T::error_type(self)
            }

            fn blame(&self) -> Blame {
                T::blame(self)
            }

            fn retryable(&self) -> bool {
                T::retryable(self)
            }

            fn level(&self) -> Option<Level> {
                T::level(self)
            }
        }
    )*};
}

forwarded!(&T, Box<T>, std::sync::Arc<T>);

/// It has no values.
impl ErrorType for std::convert::Infallible {
    fn error_type(&self) -> &'static str {
        match *self {}
    }
}

/// An error inside another, which may say something of itself: the derive asks
/// `(&&Inner(&error)).__redspan_inner()` with both traits in scope.
#[derive(Debug)]
pub struct Inner<'a, T: ?Sized>(pub &'a T);

/// An inner error with an [`ErrorType`].
pub trait ViaErrorType<'a> {
    /// The inner error.
    fn __redspan_inner(&self) -> Option<&'a dyn ErrorType>;
}

impl<'a, T: ErrorType> ViaErrorType<'a> for &Inner<'a, T> {
    #[inline]
    fn __redspan_inner(&self) -> Option<&'a dyn ErrorType> {
        Some(self.0)
    }
}

/// An inner error that says nothing.
pub trait ViaNothing<'a> {
    /// Nothing.
    fn __redspan_inner(&self) -> Option<&'a dyn ErrorType>;
}

impl<'a, T: ?Sized> ViaNothing<'a> for Inner<'a, T> {
    #[inline]
    fn __redspan_inner(&self) -> Option<&'a dyn ErrorType> {
        None
    }
}

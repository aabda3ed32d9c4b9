//! Whether a returned value is an error.
//!
//! Chosen at compile time by autoref: of the implementations below the first one that fits the
//! type wins. The generated code writes `(&&&&&&&&&Returned(&value)).__redspan_verdict()` with the traits
//! in scope.

use crate::error_type::ErrorType;
use crate::span::failed::{Failed, Told};
use std::any::type_name;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call that returned has ended.
#[derive(Debug)]
#[must_use]
pub struct Verdict<'a>(Option<Failure<'a>>);

/// What is known of an error.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    pub(super) error_type: &'static str,
    /// What it says of itself; asked only when somebody wants to know: that may be user code.
    own: Option<Own<'a>>,
    pub(super) message: Option<Shown<'a>>,
    /// Asked for its source only when somebody wants to know: that is user code.
    pub(super) error: Option<&'a (dyn Error + 'a)>,
}

impl Failure<'_> {
    /// What is known without rendering anything.
    #[cold]
    pub(super) fn describe_type(self) -> Failed {
        Failure { message: None, error: None, ..self }.describe()
    }

    /// Renders the texts: user code, which may panic, and then tells nothing.
    #[cold]
    pub(super) fn describe(self) -> Failed {
        let message = self.message.and_then(|Shown(error)| Text::of(error));
        let mut sources = Vec::new();
        let mut next = self.error.and_then(source_of);
        for _ in 0..MAX_SOURCES {
            let Some(error) = next else { break };
            sources.extend(Text::of(error));
            next = source_of(error);
        }
        let told = self.own.and_then(|own| own.told(self.error_type));
        let error_type = told.as_ref().map_or(self.error_type, |told| told.error_type);
        Failed { error_type: Cow::Borrowed(error_type), message, sources, told }
    }
}

struct Own<'a>(&'a dyn ErrorType);

impl Own<'_> {
    fn told(self, exception_type: &'static str) -> Option<Told> {
        let Own(error) = self;
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let blame = error.blame();
            Told {
                error_type: error.error_type(),
                exception_type,
                blame,
                retryable: error.retryable(),
                level: error.level().unwrap_or(blame.level()),
            }
        }));
        asked.ok()
    }
}

impl fmt::Debug for Own<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorType")
    }
}

/// An error that can only be shown.
pub(crate) fn shown(error_type: &'static str, error: &dyn fmt::Display) -> Failed {
    Failure { error_type, own: None, message: Some(Shown(error)), error: None }.describe()
}

/// An error with what is behind it.
pub(crate) fn described(error_type: &'static str, error: &(dyn Error + 'static)) -> Failed {
    Failure { error_type, own: None, message: Some(Shown(error)), error: Some(error) }.describe()
}

fn source_of<'a>(error: &'a (dyn Error + 'a)) -> Option<&'a (dyn Error + 'static)> {
    catch_unwind(AssertUnwindSafe(|| error.source())).ok()?
}

/// Longer chains are cut: a chain may be a circle.
const MAX_SOURCES: usize = 32;

/// Bytes of an error's text; the rest is cut.
const MAX_TEXT: usize = 4096;

struct Text {
    text: String,
    /// A `Display` may go on writing when it has been told that there is no room.
    full: bool,
}

impl Text {
    fn of(value: &dyn fmt::Display) -> Option<String> {
        let mut text = Text { text: String::new(), full: false };
        let written = catch_unwind(AssertUnwindSafe(|| {
            // An error means that the text was cut, or that the value itself gave up.
            let _ = fmt::write(&mut text, format_args!("{value}"));
        }));
        written.ok().map(|()| text.text)
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        let room = MAX_TEXT.saturating_sub(self.text.len());
        let fits = more.floor_char_boundary(room);
        self.text.push_str(&more[..fits]);
        if fits < more.len() {
            self.text.push('…');
            self.full = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// An error's text, not made yet.
pub(super) struct Shown<'a>(pub(super) &'a dyn fmt::Display);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

/// `error.type` of an error that tells nothing of itself; the value OpenTelemetry reserves for it.
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/>
const OTHER: &str = "_OTHER";

impl<'a> Verdict<'a> {
    /// The call succeeded.
    pub const OK: Verdict<'static> = Verdict(None);

    pub(super) fn failure(self) -> Option<Failure<'a>> {
        self.0
    }

    fn error(
        error_type: &'static str,
        message: Option<&'a dyn fmt::Display>,
        error: Option<&'a (dyn Error + 'a)>,
    ) -> Self {
        Verdict(Some(Failure { error_type, own: None, message: message.map(Shown), error }))
    }

    fn told<E: ErrorType>(
        own: &'a E,
        message: Option<&'a dyn fmt::Display>,
        error: Option<&'a (dyn Error + 'a)>,
    ) -> Self {
        Verdict(Some(Failure {
            error_type: type_name::<E>(),
            own: Some(Own(own)),
            message: message.map(Shown),
            error,
        }))
    }

    /// What `error_if` and `ok_if` decided, with what the value itself says of its error.
    pub fn overruled(self, is_error: bool) -> Self {
        match (is_error, self.0) {
            (false, _) => Verdict::OK,
            (true, Some(failure)) => Verdict(Some(failure)),
            (true, None) => Verdict::error(OTHER, None, None),
        }
    }
}

/// Asks `predicate` about a returned value; the argument's type needs no annotation this way.
#[inline]
pub fn holds<T: ?Sized>(value: &T, predicate: impl FnOnce(&T) -> bool) -> bool {
    predicate(value)
}

/// A value that may be missing: what `none = "error"` is about.
#[diagnostic::on_unimplemented(
    message = "`none` is about a returned `Option`, and this is `{Self}`",
    label = "returns neither `Option` nor a `Result` of one",
    note = "use `error_if = |value| …` to say which values are errors"
)]
pub trait Missing {
    /// Whether it is.
    fn is_missing(&self) -> bool;
}

impl<T> Missing for Option<T> {
    fn is_missing(&self) -> bool {
        self.is_none()
    }
}

impl<T, E> Missing for Result<Option<T>, E> {
    fn is_missing(&self) -> bool {
        matches!(self, Ok(None))
    }
}

/// For `none = "error"`: a missing value is an error of the type `none`.
#[inline]
pub fn none_is_error<'a, T: Missing>(value: &T, found: Verdict<'a>) -> Verdict<'a> {
    if value.is_missing() { Verdict::error("none", None, None) } else { found }
}

/// A returned value, to be judged.
#[derive(Debug)]
pub struct Returned<'a, T: ?Sized>(pub &'a T);

/// `Result` with an error that says what it is, and implements [`Error`].
pub trait ViaErrorType<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E: ErrorType + Error> ViaErrorType<'a> for &&&&&&&&Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => Verdict::told(error, Some(error), Some(error)),
        }
    }
}

/// `Result` with an error that says what it is, and can be shown.
pub trait ViaShownErrorType<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E: ErrorType + fmt::Display> ViaShownErrorType<'a>
    for &&&&&&&Returned<'a, Result<T, E>>
{
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => Verdict::told(error, Some(error), None),
        }
    }
}

/// `Result` with an error that says what it is, and nothing else.
pub trait ViaBareErrorType<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E: ErrorType> ViaBareErrorType<'a> for &&&&&&Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => Verdict::told(error, None, None),
        }
    }
}

/// `Result` with an error that implements [`Error`].
pub trait ViaError<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E: Error> ViaError<'a> for &&&&&Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => Verdict::error(type_name::<E>(), Some(error), Some(error)),
        }
    }
}

/// `Result` with an error that holds one: `anyhow::Error`, `Box<dyn Error + Send + Sync>`.
pub trait ViaSendSync<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, 'e: 'a, T, E> ViaSendSync<'a> for &&&&Returned<'a, Result<T, E>>
where
    E: AsRef<dyn Error + Send + Sync + 'e>,
{
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => {
                let error = error.as_ref();
                Verdict::error(type_name::<E>(), Some(error), Some(error))
            }
        }
    }
}

/// `Result` with an error that holds one: `Box<dyn Error>`.
pub trait ViaBoxed<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, 'e: 'a, T, E> ViaBoxed<'a> for &&&Returned<'a, Result<T, E>>
where
    E: AsRef<dyn Error + 'e>,
{
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => {
                let error = error.as_ref();
                Verdict::error(type_name::<E>(), Some(error), Some(error))
            }
        }
    }
}

/// `Result` with an error that can be shown.
pub trait ViaDisplay<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E: fmt::Display> ViaDisplay<'a> for &&Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(error) => Verdict::error(type_name::<E>(), Some(error), None),
        }
    }
}

/// Any other `Result`.
pub trait ViaResult<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T, E> ViaResult<'a> for &Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict::OK,
            Err(_) => Verdict::error(type_name::<E>(), None, None),
        }
    }
}

/// Everything else is no error.
pub trait ViaAny<'a> {
    /// Judges the value.
    fn __redspan_verdict(&self) -> Verdict<'a>;
}

impl<'a, T: ?Sized> ViaAny<'a> for Returned<'a, T> {
    #[inline]
    fn __redspan_verdict(&self) -> Verdict<'a> {
        Verdict::OK
    }
}

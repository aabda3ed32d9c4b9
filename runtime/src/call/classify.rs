//! Whether a returned value is an error.
//!
//! Chosen at compile time by the search for the method `Returned(&value).__redspan_verdict()`: the first
//! one below that fits the type wins. The compiler looks at the type itself, then at a reference to it,
//! then at what it dereferences to ([`Second`], [`Third`]) in the same way; each time at methods of
//! the type's own, then at those of the trait [`Judge`]. What functions return most often comes first:
//! each further look costs every annotated function.
//!
//! Protocol answers are asked a second question, what they answer ([`answer`]), and what is not there
//! is an error where the attribute says so ([`absent`]).

pub(crate) mod absent;
pub(crate) mod answer;
mod root;

pub use root::name_error;

use crate::callsite::Kind;
use crate::error_type::ErrorType;
use crate::redact;
use crate::span::failed::{Failed, Told};
use answer::{Answered, Fault};
use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

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
    /// An answer that is the client's fault: an error to the client alone.
    clients: bool,
}

impl Failure<'_> {
    /// What is known without rendering anything.
    #[cold]
    pub(super) fn describe_type(self) -> Failed {
        Failure { message: None, error: None, ..self }.describe()
    }

    /// What counts it among others: of few values. Asks an error that says it of itself, which is
    /// user code.
    pub(super) fn error_type(&self) -> &'static str {
        let said = |own: &Own<'_>| catch_unwind(AssertUnwindSafe(|| own.0.error_type())).ok();
        self.own.as_ref().and_then(said).unwrap_or(self.error_type)
    }

    /// Whether it is one to a call of this kind.
    pub(super) fn concerns(&self, kind: Kind) -> bool {
        !self.clients || kind == Kind::Client
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
    Failure { error_type, own: None, message: Some(Shown(error)), error: None, clients: false }
        .describe()
}

/// An error of any type that has a text, and its `error.type`. What is in a box, as tower's own layers hand it on and
/// axum's bodies, is asked for what it is, and of what is known to be an error also what is behind it is shown.
#[cfg(feature = "tower")]
pub(crate) fn any<E: fmt::Display + 'static>(error: &E) -> (&'static str, Failed) {
    let (any, otherwise): (&dyn std::any::Any, _) = (error, type_name::<E>());
    if let Some(boxed) = root::boxed(any) {
        return known(boxed, otherwise);
    }
    let failed = match root::within(any) {
        Some(error) => described(otherwise, error),
        None => shown(otherwise, error),
    };
    (otherwise, failed)
}

/// An error with its `error.type`: that of the innermost that is known, or else `otherwise`.
#[cfg(feature = "_http")]
pub(crate) fn known(
    error: &(dyn Error + 'static),
    otherwise: &'static str,
) -> (&'static str, Failed) {
    let error_type = root::type_of(error, otherwise);
    (error_type, described(error_type, error))
}

/// An error with what is behind it.
pub(crate) fn described(error_type: &'static str, error: &(dyn Error + 'static)) -> Failed {
    let message = Some(Shown(error));
    Failure { error_type, own: None, message, error: Some(error), clients: false }.describe()
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
        written.ok()?;
        redact::current().of_error(&mut text.text);
        Some(text.text)
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

    /// The same, not copied whole out of a constant.
    #[inline]
    pub(crate) fn fine() -> Verdict<'static> {
        Verdict(None)
    }

    #[inline]
    pub(super) fn is_fine(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn failure(self) -> Option<Failure<'a>> {
        self.0
    }

    pub(super) fn without_text(self) -> Self {
        Verdict(self.0.map(|failure| Failure { message: None, error: None, ..failure }))
    }

    #[cold]
    #[inline(never)]
    fn error(
        error_type: &'static str,
        message: Option<&'a dyn fmt::Display>,
        error: Option<&'a (dyn Error + 'a)>,
    ) -> Self {
        let message = message.map(Shown);
        Verdict(Some(Failure { error_type, own: None, message, error, clients: false }))
    }

    /// Once a type of errors, and not in each function that returns one.
    #[cold]
    #[inline(never)]
    fn of<E: Error>(error: &'a E) -> Self {
        Verdict::error(type_name::<E>(), Some(error), Some(error))
    }

    /// What the value answers, with what it says of its error.
    pub fn answered(self, answer: Answered) -> Self {
        let Fault { error_type, clients } = match answer {
            Answered::No => return self,
            Answered::Fine => return Verdict::OK,
            Answered::Fault(fault) => fault,
        };
        let (message, error) = self.0.map_or((None, None), |found| (found.message, found.error));
        Verdict(Some(Failure { error_type, own: None, message, error, clients }))
    }

    #[cold]
    #[inline(never)]
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
            clients: false,
        }))
    }

    /// What `error_if` and `ok_if` decided, with what the value itself says of its error.
    pub fn overruled(self, is_error: bool) -> Self {
        match (is_error, self.0) {
            (false, _) => Verdict::OK,
            (true, Some(failure)) => Verdict(Some(Failure { clients: false, ..failure })),
            (true, None) => Verdict::error(OTHER, None, None),
        }
    }
}

/// Judges a `Result` whose types nothing tells yet.
#[inline]
pub fn by_result<T, E>(value: &Result<T, E>) -> Verdict<'_> {
    match value {
        Ok(_) => Verdict(None),
        Err(_) => Verdict::error(type_name::<E>(), None, None),
    }
}

/// Asks `predicate` about a returned value; the argument's type needs no annotation this way.
#[inline]
pub fn holds<T: ?Sized>(value: &T, predicate: impl FnOnce(&T) -> bool) -> bool {
    predicate(value)
}

/// A returned value, to be judged.
#[derive(Debug)]
#[repr(transparent)]
pub struct Returned<'a, T: ?Sized>(pub &'a T);

/// Where the search goes on.
#[derive(Debug)]
#[repr(transparent)]
pub struct Second<'a, T: ?Sized>(&'a T);

/// Where the search ends.
#[derive(Debug)]
#[repr(transparent)]
pub struct Third<'a, T: ?Sized>(&'a T);

impl<T: ?Sized> Clone for Second<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Second<'_, T> {}

impl<T: ?Sized> Clone for Third<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Third<'_, T> {}

impl<'a, T: ?Sized> Deref for Returned<'a, T> {
    type Target = Second<'a, T>;

    #[inline]
    fn deref(&self) -> &Second<'a, T> {
        // SAFETY: both are a reference to `T`, and nothing else.
        unsafe { &*ptr::from_ref(self).cast() }
    }
}

impl<'a, T: ?Sized> Deref for Second<'a, T> {
    type Target = Third<'a, T>;

    #[inline]
    fn deref(&self) -> &Third<'a, T> {
        // SAFETY: both are a reference to `T`, and nothing else.
        unsafe { &*ptr::from_ref(self).cast() }
    }
}

/// Judges a value by its type.
pub trait Judge<'a> {
    /// Judges the value.
    fn __redspan_verdict(self) -> Verdict<'a>;
}

/// `Result` with an error that says what it is, and implements [`Error`].
impl<'a, T, E: ErrorType + Error> Returned<'a, Result<T, E>> {
    #[doc(hidden)]
    #[inline]
    pub fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => Verdict::told(error, Some(error), Some(error)),
        }
    }
}

/// `Result` with an error that implements [`Error`].
impl<'a, T, E: Error> Judge<'a> for Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => Verdict::of(error),
        }
    }
}

macro_rules! never {
    ($($type:ty $(where [$($parameter:ident),*])?),* $(,)?) => {$(
        /// No error, as anything else that is no `Result`: named, so that the search ends here.
        impl<'a $(, $($parameter),*)?> Judge<'a> for Returned<'a, $type> {
            #[inline]
            fn __redspan_verdict(self) -> Verdict<'a> {
                Verdict(None)
            }
        }
    )*};
}

never! {
    (), bool, u32, u64, usize, i32, i64, f64, String, Duration, Option<T> where [T],
    // The other numbers as well: of a `3` or a `0.5` nothing may tell yet which of them it is.
    u8, u16, u128, i8, i16, i128, isize, f32,
    Vec<T> where [T], Arc<T> where [T], (T, U) where [T, U], HashMap<K, V, S> where [K, V, S],
    BTreeMap<K, V> where [K, V],
}

/// `Result` with an error that says what it is, and can be shown.
impl<'a, T, E: ErrorType + fmt::Display> Judge<'a> for &Returned<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => Verdict::told(error, Some(error), None),
        }
    }
}

/// `Result` with an error that says what it is, and nothing else.
impl<'a, T, E: ErrorType> Second<'a, Result<T, E>> {
    #[doc(hidden)]
    #[inline]
    pub fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => Verdict::told(error, None, None),
        }
    }
}

macro_rules! boxed {
    ($($error:ty),*) => {$(
        /// `Result` with an error in a box, of which nothing says that it lives for ever.
        impl<'a, 'e: 'a, T> Judge<'a> for Second<'a, Result<T, Box<$error>>> {
            #[inline]
            fn __redspan_verdict(self) -> Verdict<'a> {
                match self.0 {
                    Ok(_) => Verdict(None),
                    Err(error) => {
                        let error: &'a $error = &**error;
                        let error_type = root::type_of(error, type_name::<Box<$error>>());
                        Verdict::error(error_type, Some(error), Some(error))
                    }
                }
            }
        }
    )*};
}

boxed!(dyn Error + 'e, dyn Error + Send + 'e, dyn Error + Send + Sync + 'e);

/// `Result` with an error that holds one: `anyhow::Error`, `eyre::Report`.
impl<'a, T, E> Judge<'a> for &Second<'a, Result<T, E>>
where
    E: AsRef<dyn Error + Send + Sync>,
{
    #[inline]
    fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => {
                let error = error.as_ref();
                let error_type = root::type_of(error, type_name::<E>());
                Verdict::error(error_type, Some(error), Some(error))
            }
        }
    }
}

/// `Result` with an error that can be shown.
impl<'a, T, E: fmt::Display> Third<'a, Result<T, E>> {
    #[doc(hidden)]
    #[inline]
    pub fn __redspan_verdict(self) -> Verdict<'a> {
        match self.0 {
            Ok(_) => Verdict(None),
            Err(error) => Verdict::error(type_name::<E>(), Some(error), None),
        }
    }
}

/// Any other `Result`.
impl<'a, T, E> Judge<'a> for Third<'a, Result<T, E>> {
    #[inline]
    fn __redspan_verdict(self) -> Verdict<'a> {
        by_result(self.0)
    }
}

/// Everything else is no error.
impl<'a, T: ?Sized> Judge<'a> for &Third<'a, T> {
    #[inline]
    fn __redspan_verdict(self) -> Verdict<'a> {
        // Not the constant, which would be copied whole.
        Verdict(None)
    }
}

//! The type of the error at the root of another.
//!
//! `anyhow::Error`, `eyre::Report` and `Box<dyn Error>` have forgotten it: a `dyn Error` can be asked whether
//! it *is* of a given type, not which it is. So there is a list of types to ask for.

use super::{MAX_SOURCES, source_of};
use crate::home;
use std::any::{Any, type_name};
use std::error::Error;
use std::sync::RwLock;

/// A type to ask for.
#[derive(Clone, Copy)]
struct Known {
    is: fn(&(dyn Error + 'static)) -> bool,
    name: fn() -> &'static str,
    #[cfg_attr(
        not(feature = "tower"),
        allow(dead_code, reason = "only layers are given any type")
    )]
    within: fn(&dyn Any) -> Option<&(dyn Error + 'static)>,
}

impl Known {
    const fn of<E: Error + 'static>() -> Self {
        Known { is: |error| error.is::<E>(), name: type_name::<E>, within: found::<E> }
    }
}

fn found<E: Error + 'static>(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    any.downcast_ref::<E>().map(|error| error as _)
}

/// The standard library's, and those of what redspan is built with.
static KNOWN: &[Known] = &[
    Known::of::<std::io::Error>(),
    Known::of::<std::fmt::Error>(),
    Known::of::<std::num::ParseIntError>(),
    Known::of::<std::num::ParseFloatError>(),
    Known::of::<std::num::TryFromIntError>(),
    Known::of::<std::str::ParseBoolError>(),
    Known::of::<std::str::Utf8Error>(),
    Known::of::<std::string::FromUtf8Error>(),
    Known::of::<std::string::FromUtf16Error>(),
    Known::of::<std::char::ParseCharError>(),
    Known::of::<std::char::CharTryFromError>(),
    Known::of::<std::array::TryFromSliceError>(),
    Known::of::<std::net::AddrParseError>(),
    Known::of::<std::env::VarError>(),
    Known::of::<std::path::StripPrefixError>(),
    Known::of::<std::ffi::NulError>(),
    Known::of::<std::time::SystemTimeError>(),
    Known::of::<std::cell::BorrowError>(),
    Known::of::<std::cell::BorrowMutError>(),
    Known::of::<std::thread::AccessError>(),
    Known::of::<std::sync::mpsc::RecvError>(),
    Known::of::<std::sync::mpsc::TryRecvError>(),
    Known::of::<std::sync::mpsc::RecvTimeoutError>(),
    Known::of::<serde_json::Error>(),
    #[cfg(feature = "_http")]
    Known::of::<http::Error>(),
    #[cfg(feature = "reqwest")]
    Known::of::<reqwest::Error>(),
    #[cfg(feature = "tonic")]
    Known::of::<tonic::Status>(),
];

/// Errors that are a box by another name: their text and their type say nothing of their own.
#[cfg(feature = "tower")]
static BOXES: &[Known] = &[
    // That of each body of axum's, whatever fails in it.
    #[cfg(feature = "axum")]
    Known::of::<axum::Error>(),
];

static NAMED: RwLock<Vec<Known>> = RwLock::new(Vec::new());

/// Lets `error.type` name `E` where it is the root of an `anyhow::Error`, an `eyre::Report` or a
/// `Box<dyn Error>`.
///
/// Those keep their error's text, and forget its type's name. redspan recognises the errors of the
/// standard library, `serde_json`, and those of the libraries whose features are on; any other type is
/// named here, once, where the program starts. Of an error whose chain holds no type that is
/// known, `error.type` is the type that holds it, such as `anyhow::Error`.
///
/// Functions that return `Result<_, E>` need none of this. Layers of tower take any error that has a text: of
/// one that is named here, they also show the errors behind it.
///
/// ```
/// #[derive(Debug)]
/// struct Declined;
/// # impl std::fmt::Display for Declined {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("declined") }
/// # }
/// # impl std::error::Error for Declined {}
///
/// redspan::name_error::<Declined>();
/// ```
pub fn name_error<E: Error + 'static>() {
    let Some(mut named) = home::write(&NAMED) else { return };
    if !named.iter().any(|known| (known.name)() == type_name::<E>()) {
        named.push(Known::of::<E>());
    }
}

/// The type of the innermost error behind `error` that is known, or else `otherwise`.
#[cold]
pub(super) fn type_of<'e>(error: &(dyn Error + 'e), otherwise: &'static str) -> &'static str {
    // SAFETY: only the trait object's lifetime changes, for this call: it is asked for its type and
    // nothing else, which reads nothing of the value and runs nobody's code. Of a type that does
    // borrow, the answer is that of the same type with another lifetime, and only its name is used.
    let outermost: &(dyn Error + 'static) =
        unsafe { std::mem::transmute::<&(dyn Error + 'e), &(dyn Error + 'static)>(error) };
    let mut innermost = name_of(outermost);
    let mut next = source_of(error);
    for _ in 0..MAX_SOURCES {
        let Some(error) = next else { break };
        innermost = name_of(error).or(innermost);
        next = source_of(error);
    }
    innermost.unwrap_or(otherwise)
}

/// What is known to be an error.
#[cfg(feature = "tower")]
pub(super) fn within(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let known = KNOWN.iter().find_map(|known| (known.within)(any));
    known.or_else(|| {
        let named = home::read(&NAMED)?;
        named.iter().find_map(|known| (known.within)(any))
    })
}

/// What is in a box, or in one within another, as each layer of a server may put one around its body.
#[cfg(feature = "tower")]
pub(super) fn boxed(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    type Boxed = Box<dyn Error + Send + Sync>;
    let boxed = any.downcast_ref::<Boxed>().map(|boxed| &**boxed as &(dyn Error + 'static));
    let mut inner = boxed.or_else(|| BOXES.iter().find_map(|of| (of.within)(any)))?;
    for _ in 0..MAX_SOURCES {
        let within = source_of(inner).filter(|_| BOXES.iter().any(|of| (of.is)(inner)));
        let Some(within) = within else { break };
        inner = within;
    }
    Some(inner)
}

fn name_of(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let named = || {
        let named = home::read(&NAMED)?;
        named.iter().copied().find(|known| (known.is)(error))
    };
    let known = KNOWN.iter().copied().find(|known| (known.is)(error));
    known.or_else(named).map(|known| (known.name)())
}

#[cfg(test)]
#[allow(clippy::needless_borrow, reason = "as many as the generated code writes")]
mod tests {
    use super::*;
    use crate::call::classify::{Judge, Returned, Verdict};
    use anyhow::Context;
    use std::fmt;

    fn error_type(verdict: Verdict<'_>) -> &'static str {
        verdict.failure().unwrap().error_type
    }

    fn parsed(text: &str) -> Result<u8, Box<dyn Error>> {
        Ok(text.parse::<u8>()?)
    }

    #[test]
    fn the_root_of_a_chain_is_named_and_not_what_was_said_on_the_way() {
        let out: anyhow::Result<u8> = "x".parse().context("the port").context("the settings");
        let error_type = error_type(Returned(&out).__redspan_verdict());
        assert_eq!(error_type, type_name::<std::num::ParseIntError>());
    }

    #[test]
    fn an_error_in_a_box_is_named() {
        let out = parsed("x");
        let found = error_type(Returned(&out).__redspan_verdict());
        assert_eq!(found, type_name::<std::num::ParseIntError>());
        let out: Result<(), Box<dyn Error + Send + Sync>> = Err("only words".into());
        let found = error_type(Returned(&out).__redspan_verdict());
        assert_eq!(found, type_name::<Box<dyn Error + Send + Sync>>());
    }

    #[derive(Debug)]
    struct Borrows<'a>(&'a str);

    impl fmt::Display for Borrows<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Borrows<'_> {}

    #[test]
    fn an_error_that_borrows_may_stand_in_a_box() {
        fn fails(text: &str) -> Result<(), Box<dyn Error + '_>> {
            Err(Box::new(Borrows(text)))
        }
        let text = String::from("borrowed");
        let out = fails(&text);
        let found = error_type(Returned(&out).__redspan_verdict());
        assert_eq!(found, type_name::<Box<dyn Error>>());
    }

    #[derive(Debug)]
    struct Named;

    impl fmt::Display for Named {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("named")
        }
    }

    impl Error for Named {}

    #[test]
    fn a_type_of_the_programs_own_is_known_once_it_is_named() {
        let out: anyhow::Result<()> = Err(Named).context("below");
        let found = || error_type(Returned(&out).__redspan_verdict());
        assert_eq!(found(), type_name::<anyhow::Error>());
        name_error::<Named>();
        name_error::<Named>();
        assert_eq!(found(), type_name::<Named>());
    }
}

#![deny(warnings)]

use redspan::{Blame, ErrorType};

#[derive(ErrorType)]
enum Inner {
    #[error_type(client, retryable)]
    Busy,
}

#[derive(ErrorType)]
enum Outer<'a, E, F>
where
    F: Copy,
{
    #[error_type(transparent)]
    Borrowed(&'a Inner),
    #[error_type(transparent)]
    Boxed { inner: Box<Inner> },
    // What the variant says itself goes first.
    #[error_type("outer", transparent, server)]
    Named(Inner),
    #[error_type(transparent)]
    Generic(E),
    #[allow(dead_code)]
    Plain(F),
}

/// Bound to a parameter that is none.
#[derive(ErrorType)]
#[error_type(transparent)]
struct Wrapper<E>(E);

fn asks<E: ErrorType>(error: E) -> (&'static str, Blame, bool) {
    (error.error_type(), error.blame(), error.retryable())
}

type Of<'a> = Outer<'a, Wrapper<Inner>, u8>;

fn main() {
    let busy = ("busy", Blame::Client, true);
    assert_eq!(asks(Of::Borrowed(&Inner::Busy)), busy);
    assert_eq!(asks(Of::Boxed { inner: Box::new(Inner::Busy) }), busy);
    assert_eq!(asks(Of::Named(Inner::Busy)), ("outer", Blame::Server, true));
    assert_eq!(asks(Of::Generic(Wrapper(Inner::Busy))), busy);
    assert_eq!(asks(Of::Plain(1)), ("plain", Blame::Server, false));
}

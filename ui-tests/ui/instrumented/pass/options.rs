//! Every option, and values that arrive through `macro_rules`.
#![deny(warnings)]

use redspan::instrumented;

#[instrumented(name = "a.b", level = "DEBUG", kind = "server", fields())]
fn all() {}

#[instrumented(sample = "always")]
fn always() {}

#[instrumented(sample = "never")]
async fn never() {}

#[instrumented(sample = 0.01, kind = "server")]
fn sometimes() {}

#[instrumented(sample = 1)]
fn whole() {}

#[instrumented(level = Level::WARN, kind = Kind::Client,)]
fn paths() {}

#[instrumented(level = trace)]
fn bare_word() {}

#[instrumented(ok_if = |value| value.len() > 1)]
fn ok_if(n: usize) -> Vec<u8> {
    vec![0; n]
}

#[instrumented(ok_if = Option::is_some)]
async fn ok_if_path(n: u8) -> Option<u8> {
    n.checked_sub(1)
}

fn is_server_error(status: &u16) -> bool {
    *status >= 500
}

#[instrumented(error_if = is_server_error)]
async fn error_if(status: u16) -> u16 {
    status
}

#[instrumented(error_if = |result| matches!(result, Err(n) if *n > 1))]
fn error_and_err(n: u8) -> Result<(), u8> {
    Err(n)
}

#[instrumented(ok_if = |value: &&str| !value.is_empty())]
fn borrowed(value: &str) -> &str {
    value
}

macro_rules! make {
    ($(#[$attr:meta])* $vis:vis $name:ident, $title:literal, $share:expr, $level:expr, $value:expr, $field:ident) => {
        #[instrumented(name = $title, sample = $share, level = $level, log = $level, fields($field, twice = $value * 2))]
        $(#[$attr])*
        $vis fn $name($field: u8) -> u8 {
            $field
        }
    };
}
make!(#[must_use] pub(crate) made, "made.up", 0.5, "debug", 1 + 1, input);

macro_rules! methods {
    ($ty:ty, $($name:ident($pat:pat, $arg:ty) -> $ret:ty $body:block)*) => {
        impl $ty {
            $(#[instrumented] fn $name(&self, $pat: $arg) -> $ret $body)*
        }
    };
}
struct S(u8);
methods!(S, first((a, _), (u8, u8)) -> u8 { a } second(_, u8) -> Result<u8, String> { Ok(1) });

macro_rules! hidden {
    ($name:ident) => {
        #[instrumented(fields(value, n = self.0))]
        fn $name(&mut self, mut value: u8) -> u8 {
            let unhygienic = 1;
            value += unhygienic;
            self.0 += value;
            self.0
        }
    };
}
impl S {
    hidden!(hidden);
}

/// Parameters that differ by hygiene only.
macro_rules! same_names {
    ($sync:ident, $future:ident, $a:ident, $b:ident) => {
        #[instrumented]
        fn $sync(a: u8, $a: u8, _b: u8, $b: u8) -> u8 {
            a + $a
        }
        #[instrumented(fields($a))]
        async fn $future(a: u8, $a: u8, _b: u8, $b: u8) -> u8 {
            a + $a
        }
    };
}
same_names!(same_names, same_names_async, a, _b);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    all();
    always();
    never().await;
    sometimes();
    whole();
    paths();
    bare_word();
    assert_eq!(ok_if(1).len(), 1);
    assert_eq!(ok_if_path(1).await, Some(0));
    assert_eq!(error_if(500).await, 500);
    assert!(error_and_err(1).is_err());
    assert_eq!(borrowed("a"), "a");
    assert_eq!(made(1), 1);
    assert_eq!(same_names(1, 2, 3, 4) + same_names_async(1, 2, 3, 4).await, 6);
    let mut s = S(1);
    assert_eq!(s.first((1, 2)), 1);
    assert_eq!(s.second(1), Ok(1));
    assert_eq!(s.hidden(1), 3);
}

//! Signatures that are seldom seen: raw names, shadowed types, functions of macros, many generics.
#![deny(warnings)]
#![no_implicit_prelude]
#![allow(dead_code)]

use ::redspan::{instrumented, measured};
use ::std::clone::Clone;
use ::std::marker::{Copy, Send, Sized};
use ::std::ops::FnMut;

mod redspan {
    pub(crate) fn __private() {}
}
mod core {}
mod alloc {}

struct Future;
struct Pin<T>(T);
enum Result {
    Ok,
    Err,
}

#[instrumented]
fn plain(a: u8) -> u8 {
    a
}

#[instrumented(fields(r#type, r#fn = r#fn))]
fn r#match(r#type: u8, r#fn: u8) -> u8 {
    r#type + r#fn
}

#[instrumented]
fn results(fail: bool) -> Result {
    if fail { Result::Err } else { Result::Ok }
}

#[instrumented(none = "error")]
fn options(n: u8) -> ::std::option::Option<u8> {
    if n == 0 {
        return ::std::option::Option::None;
    }
    ::std::option::Option::Some(n)
}

#[instrumented(fields(n))]
async fn later(n: u8) -> ::std::result::Result<u8, ::std::fmt::Error> {
    let n = options(n).ok_or(::std::fmt::Error)?;
    ::std::result::Result::Ok(n)
}

#[instrumented]
fn generic<'a, 'b: 'a, T: ?Sized, F, const N: usize>(text: &'a T, _other: &'b T, mut f: F) -> [usize; N]
where
    F: for<'c> FnMut(&'c T) -> usize + Send,
{
    [f(text); N]
}

#[instrumented]
unsafe extern "C" fn foreign(n: *const u8) -> u8 {
    unsafe { *n }
}

#[instrumented]
pub(self) fn with_default_bindings(
    &[first, ref rest @ ..]: &[u8; 3],
    mut n @ 0..=255: u8,
    (ref a, Pin(b)): (u8, Pin<u8>),
) -> usize {
    n += first;
    n as usize + rest.len() + *a as usize + b as usize
}

struct Wrapper<T>(T);

#[instrumented]
impl<T: Copy> Wrapper<T> {
    const fn new(value: T) -> Self {
        Wrapper(value)
    }

    fn get(&self) -> T
    where
        T: Clone,
    {
        self.0
    }

    async fn r#await(self) -> T {
        self.0
    }
}

macro_rules! functions {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block)*) => {$(
        #[instrumented]
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $out)? $body
    )*};
}

functions! {
    /// Adds.
    pub fn add(a: u8, b: u8) -> u8 { a + b }
    #[inline]
    fn unit(_a: u8) {}
}

macro_rules! same_names {
    ($first:ident) => {
        #[instrumented(fields($first))]
        fn same($first: u8, a: u8) -> u8 {
            $first + a
        }
    };
}

same_names!(a);

fn nested() -> u8 {
    #[instrumented]
    fn inner(n: u8) -> u8 {
        if n == 0 { 0 } else { inner(n - 1) + 1 }
    }
    inner(3)
}

fn main() {
    ::std::assert_eq!(plain(1) + r#match(1, 2) + add(1, 2) + nested() + same(1, 2), 13);
    let _ = (results(true), results(false), unit(1));
    let _ = later(1);
    ::std::assert_eq!(generic::<_, _, 2>("ab", "c", |text: &str| text.len()), [2, 2]);
    ::std::assert_eq!(unsafe { foreign(&7) }, 7);
    ::std::assert_eq!(with_default_bindings(&[1, 2, 3], 1, (1, Pin(1))), 6);
    ::std::assert_eq!(Wrapper::new(1).get(), 1);
    let _ = Wrapper::new(1).r#await();
    ::std::assert_eq!(measured!("block", { plain(1) }), 1);
}

//! The user's names are the user's: those of the language, of the crates, and of what is generated.

#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]
#![no_implicit_prelude]

mod core {}
mod std {}
mod redspan {}
mod tracing {}

struct Ok;
struct Err;
struct Some;
struct None;
struct Result;
struct Option;
struct Box;
type str = u8;

#[allow(unused_macros)]
macro_rules! vec {
    () => {};
}

#[::redspan::compat::instrument(fields(own = 1))]
fn span(level: u8, name: u8, result: u8, error: u8, site: u8, value: u8) -> u8 {
    level + name + result + error + site + value
}

#[::redspan::compat::instrument(skip_all, err, ret)]
fn fallible(future: bool) -> ::core::result::Result<u8, ::std::fmt::Error> {
    if future { ::core::result::Result::Ok(1) } else { ::core::result::Result::Err(::std::fmt::Error) }
}

#[::redspan::compat::instrument]
async fn later(call: u8) -> u8 {
    call
}

fn main() {
    ::std::assert_eq!(span(1, 2, 3, 4, 5, 6), 21);
    ::std::assert!(fallible(true).is_ok());
    ::core::mem::drop(later(1));
}

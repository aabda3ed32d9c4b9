//! The user's names are the user's, those of the language's own types among them.
#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]
#![no_implicit_prelude]

mod core {}
mod std {}
mod redspan {}

struct AsRef;
struct Option;
struct bool;
struct str;
struct u64;
struct usize;

#[derive(::redspan::Label)]
enum Region {
    Eu,
    r#Us,
}

#[derive(::redspan::metrics::Labels)]
struct Placed {
    r#type: Region,
    #[label(cap = 10)]
    tenant: ::std::boxed::Box<::core::primitive::str>,
}

fn main() {
    use ::redspan::metrics::Labels;
    let tenant = ::std::convert::From::from("a");
    let placed = Placed { r#type: Region::r#Us, tenant };
    ::std::assert_eq!((placed.value(0), placed.value(1)), ("us", "a"));
}

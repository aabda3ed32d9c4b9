#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]

mod redspan {}
mod core {}
mod std {}

struct Option;
struct Some;
struct None;
struct Level;
struct Blame;
struct bool;
struct str;

trait Shadow {
    fn error_type(&self) {}
    fn blame(&self) {}
    fn level(&self) {}
    fn retryable(&self) {}
}

impl<T> Shadow for T {}

#[derive(::redspan::ErrorType)]
enum Inner {
    #[error_type(client, level = "info", retryable)]
    Shadowed,
}

#[derive(::redspan::ErrorType)]
enum Outer {
    #[error_type(transparent)]
    Inner(Inner),
}

fn main() {
    let outer = Outer::Inner(Inner::Shadowed);
    assert_eq!(::redspan::ErrorType::error_type(&outer), "shadowed");
}

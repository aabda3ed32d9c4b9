//! Names of its own, as variables and types of the user.
#![deny(warnings)]
#![allow(dead_code)]

use ::redspan::measured as traced;

mod core {}
mod std {}
mod redspan {}

struct Result;
struct Option;
struct Some;
trait FnOnce {}
trait Future {}

trait Loud: Sized {
    fn enter(self) {}
    fn finish(self) {}
}
impl<T> Loud for T {}

fn main() {
    let (__redspan_out, __redspan_started, call) = (1, 2, 3);
    let sum = traced!("sum", fields(__redspan_out, call), {
        __redspan_out + __redspan_started + call
    });
    assert_eq!(sum, 6);
    let add = traced!("add", |__redspan_out: u8, call: u8| __redspan_out + call);
    assert_eq!(add(1, 2), 3);
    let _ = traced!("later", async move { __redspan_out + call });
    let _: Result = traced!("shadowed", { Result });
}

//! Names that generated code uses itself, as arguments, modules, types and macros of the user.
#![deny(warnings)]
#![allow(dead_code)]

use ::redspan::instrumented as traced;

mod core {}
mod std {}
mod redspan {}
mod tracing {}

struct Result;
struct Option;
struct Some;
struct None;
struct Ok;
struct Err;
struct String;
struct Box;
trait Send {}
trait Future {}
trait FnOnce {}

#[allow(unused_macros)]
macro_rules! module_path {
    () => {
        compile_error!("the user's macro")
    };
}

trait Loud: Sized {
    fn enter(self) {}
    fn finish(self) {}
    fn fields(self) {}
    fn wants_fields(self) {}
}
impl<T> Loud for T {}

#[traced(fields(caller, site, value, a = __redspan_call, b = __redspan_out))]
fn sync(caller: u8, site: u8, value: u8, __redspan_call: u8, __redspan_out: u8) -> u8 {
    caller + site + value + __redspan_call + __redspan_out
}

#[traced(fields(__redspan_started, call = call1))]
fn more(__redspan_arg0: u8, (a, b): (u8, u8), __redspan_started: u8, call1: u8, begin: u8) -> u8 {
    __redspan_arg0 + a + b + __redspan_started + call1 + begin
}

#[traced(fields(__redspan_started, drive))]
async fn future(
    __redspan_arg1: u8,
    (__redspan_arg0, b): (u8, u8),
    __redspan_started: u8,
    drive: u8,
    __redspan_typed: u8,
) -> u8 {
    __redspan_arg0 + __redspan_arg1 + b + __redspan_started + drive + __redspan_typed
}

#[traced(fields(verdict))]
fn opaque(verdict: u8, __redspan_typed: u8) -> impl Copy {
    (verdict, __redspan_typed)
}

#[traced]
fn shadowed_types(_: Option, _: Result) -> Result {
    Result
}

fn main() {
    assert_eq!(sync(1, 2, 3, 4, 5), 15);
    assert_eq!(more(1, (2, 3), 4, 5, 6), 21);
    let _ = opaque(1, 2);
    let _ = future(1, (2, 3), 4, 5, 6);
    let _ = shadowed_types(Option, Result);
}

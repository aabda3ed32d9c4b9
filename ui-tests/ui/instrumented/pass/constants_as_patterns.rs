//! A parameter whose pattern is a unit struct or a constant binds nothing, and its value is dropped once.
#![deny(warnings)]

use redspan::instrumented;
use std::cell::RefCell;

thread_local!(static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

#[derive(Debug)]
struct Unit;

impl Drop for Unit {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push("unit"));
    }
}

const ONLY: () = ();

#[instrumented]
fn sync(_first: Named, Unit: Unit, _last: Named) {}

#[instrumented]
async fn asynchronous(_first: Named, Unit: Unit, _last: Named) {}

#[instrumented]
fn constant(ONLY: ()) {}

#[instrumented(fields(NUMBER, one = NUMBER == 1))]
#[allow(non_snake_case)]
fn name(NUMBER: u8) -> u8 {
    NUMBER
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let named = || (Named("first"), Named("last"));
    let (first, last) = named();
    sync(first, Unit, last);
    assert_eq!(DROPPED.take(), ["last", "unit", "first"]);
    let (first, last) = named();
    asynchronous(first, Unit, last).await;
    assert_eq!(DROPPED.take(), ["last", "unit", "first"]);
    constant(());
    assert_eq!(name(1), 1);
}

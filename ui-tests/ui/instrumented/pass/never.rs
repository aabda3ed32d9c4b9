//! `-> !`, sync and async, and bodies that always leave early.
#![deny(warnings)]

use redspan::instrumented;
use std::convert::Infallible;

#[instrumented]
fn stop(code: u8) -> ! {
    panic!("stop {code}")
}

#[instrumented]
async fn stop_async(code: u8) -> ! {
    std::future::ready(()).await;
    panic!("stop {code}")
}

#[instrumented]
async fn forever() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

#[instrumented]
fn endless() -> u8 {
    loop {
        if std::hint::black_box(true) {
            return 1;
        }
    }
}

#[instrumented]
async fn panics() -> u8 {
    panic!("always")
}

#[instrumented]
fn infallible(a: u8) -> Result<u8, Infallible> {
    Ok(a)
}

#[instrumented]
async fn infallible_async() -> Infallible {
    panic!("never")
}

#[instrumented]
fn todo_later() -> Result<(), String> {
    unimplemented!()
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    assert!(std::panic::catch_unwind(|| stop(1)).is_err());
    assert!(std::panic::catch_unwind(|| todo_later()).is_err());
    assert_eq!(endless(), 1);
    let Ok(1) = infallible(1) else { unreachable!() };
    let _ = (stop_async(1), forever(), panics(), infallible_async());
}

//! A future that was `Send` stays so, whatever the fields, the output and the return type are.
#![deny(warnings)]

use redspan::instrumented;
use std::rc::Rc;

#[instrumented(fields(%a, b = ?b, "c d" = a.len(), e = Empty, f = tracing::field::Empty))]
async fn fields(a: &str, b: Vec<u8>) -> usize {
    tokio::task::yield_now().await;
    a.len() + b.len()
}

#[instrumented]
async fn local_output() -> Rc<u8> {
    tokio::task::yield_now().await;
    Rc::new(1)
}

#[instrumented]
async fn opaque_local_output() -> impl std::fmt::Debug {
    tokio::task::yield_now().await;
    Rc::new(1)
}

#[instrumented(error_if = |n| *n > 1)]
async fn judged(n: u8) -> u8 {
    tokio::task::yield_now().await;
    n
}

#[instrumented]
async fn recursive(n: u8) -> u8 {
    if n == 0 { 0 } else { Box::pin(recursive(n - 1)).await + 1 }
}

#[instrumented]
async fn lifetimes<'a, T: Sync>(a: &'a [T], _b: &mut T) -> Option<&'a T> {
    a.first()
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(assert_send(fields("a", vec![1])).await, 2);
    drop(assert_send(local_output()));
    drop(assert_send(opaque_local_output()));
    assert_eq!(assert_send(judged(1)).await, 1);
    assert_eq!(assert_send(recursive(3)).await, 3);
    assert_eq!(assert_send(lifetimes(&[1], &mut 2)).await, Some(&1));
}

//! Bodies on one line, and bodies that begin with an item: braces of ours are no lint of theirs.
#![deny(warnings)]
#![cfg_attr(rustfmt, rustfmt::skip)]

use redspan::instrumented;

struct S(u8);
impl S {
    #[instrumented] fn take(self) -> u8 { self.0 }
    #[instrumented] fn path(self) -> Self { self }
    #[instrumented] async fn take_async(self) -> u8 { self.0 }
    #[instrumented] async fn literal(&self) -> u8 { 1 }
    #[instrumented] async fn empty(&self) {}
    #[instrumented] async fn item_first(&self) -> u8 { fn one() -> u8 { 1 } one() }
    #[instrumented] fn item_first_sync(self) -> u8 { const ONE: u8 = 1; ONE + self.0 }
}
#[instrumented(fields(a))] fn field(a: u8) -> u8 { a }
#[instrumented(fields(a))] async fn field_async(a: u8) -> u8 { a }
#[instrumented] async fn call(s: &S) -> u8 { s.literal().await }
#[instrumented] fn unit() { drop(S(1)) }
#[instrumented] fn empty() {}
#[instrumented] async fn braces() -> u8 { 1 }

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(S(1).path().take() + S(1).take_async().await + call(&S(1)).await, 3);
    S(1).empty().await;
    assert_eq!(S(1).item_first().await + S(1).item_first_sync(), 3);
    assert_eq!(field(1) + field_async(1).await + braces().await, 3);
    unit();
    empty();
}

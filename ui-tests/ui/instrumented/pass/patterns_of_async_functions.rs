//! What a parameter's pattern borrows of it, in a function that waits.
#![deny(warnings)]

use redspan::instrumented;
use std::future::Future;

struct Pair(String, u8);

#[instrumented(fields(name = name.len(), n))]
async fn borrows(ref mut list: Vec<u8>, Pair(ref mut name, n): Pair, ref whole @ Pair(_, m): Pair) -> usize {
    list.push(n);
    tokio::task::yield_now().await;
    name.push('!');
    list.len() + name.len() + whole.0.len() + usize::from(m)
}

#[instrumented]
fn ends_in_a_future(ref mut list: Vec<u8>) -> impl Future<Output = usize> {
    list.push(1);
    let length = list.len();
    async move { length }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pair = || Pair("ab".to_owned(), 7);
    assert_eq!(borrows(vec![1], pair(), pair()).await, 2 + 3 + 2 + 7);
    assert_eq!(ends_in_a_future(vec![1]).await, 2);
}

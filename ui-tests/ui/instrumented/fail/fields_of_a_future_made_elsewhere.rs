use redspan::instrumented;
use std::future::{Future, ready};

#[instrumented(fields(id))]
fn made_elsewhere(id: u8) -> impl Future<Output = u8> {
    ready(id)
}

#[instrumented(fields(id))]
fn seen_by_the_block(id: u8) -> impl Future<Output = u8> {
    let more = id + 1;
    async move { id + more }
}

fn main() {}

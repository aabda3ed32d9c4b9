#![deny(warnings)]

use redspan::instrumented;

#[instrumented(metrics = false, fields(id))]
fn no_metrics(id: u8) -> u8 {
    id
}

#[instrumented(span = false, labels(vip))]
fn no_span(vip: bool) -> bool {
    vip
}

#[instrumented(metrics = true, span = true)]
fn both() {}

fn main() {
    assert_eq!(no_metrics(1), 1);
    assert!(no_span(true));
    both();
}

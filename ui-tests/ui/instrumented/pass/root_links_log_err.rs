#![deny(warnings)]

use redspan::instrumented;

use redspan::SpanContext;

#[instrumented(root, links(SpanContext::NONE, &[Some(far.clone())], redspan::context::capture()))]
fn root(far: &SpanContext) {}

#[instrumented(log, err = "type")]
fn told() -> Result<u8, String> {
    Err("secret".to_owned())
}

#[instrumented(busy, log = Level::DEBUG, err = "message", none = "error")]
async fn polled() -> Option<u8> {
    None
}

#[instrumented(none = "error")]
fn find() -> Result<Option<u8>, String> {
    Ok(None)
}

fn main() {
    root(&SpanContext::NONE);
    assert!(told().is_err());
    drop(polled());
    assert_eq!(find(), Ok(None));
}

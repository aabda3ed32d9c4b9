use redspan::instrumented;

#[instrumented(parent = batch)]
fn load(batch: &redspan::SpanContext) {
    let _ = batch;
}

fn main() {
    let _ = load;
}

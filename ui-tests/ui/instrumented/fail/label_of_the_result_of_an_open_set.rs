use redspan::instrumented;

#[instrumented(labels(size = |r| r.len()))]
fn f() -> Vec<u8> {
    vec![]
}

fn main() {}

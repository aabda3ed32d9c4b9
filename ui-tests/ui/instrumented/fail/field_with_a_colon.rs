use redspan::instrumented;

#[instrumented(fields(id: id))]
fn f(id: u64) {
    let _ = id;
}

fn main() {}

use redspan::instrumented;

#[instrumented]
const LIMIT: u64 = 3;

fn main() {
    let _ = LIMIT;
}

use redspan::instrumented;

#[instrumented]
const fn limit() -> usize {
    3
}

fn main() {
    limit();
}

use redspan::instrumented;

#[instrumented(fields("" = id))]
fn checkout(id: u64) -> u64 {
    id
}

fn main() {
    checkout(1);
}

use redspan::instrumented;

#[instrumented(fields(id, other = 1, id = 2))]
fn checkout(id: u64) -> u64 {
    id
}

fn main() {
    checkout(1);
}

use redspan::instrumented;

#[instrumented(fields(id =, "quoted", other = %))]
fn checkout(id: u64) -> u64 {
    id
}

fn main() {
    checkout(1);
}

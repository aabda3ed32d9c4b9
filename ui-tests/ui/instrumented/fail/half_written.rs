use redspan::instrumented;

#[instrumented(fields(id., %, ?id.), ok_if = |value, name = = 3, level = Level::, , kind = "server")]
fn checkout(id: u64) -> u64 {
    id
}

fn main() {
    checkout(1);
}

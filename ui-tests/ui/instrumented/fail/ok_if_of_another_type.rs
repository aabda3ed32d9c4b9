use redspan::instrumented;

#[instrumented(ok_if = |value: &u8| *value > 1)]
fn checkout() -> Option<u8> {
    None
}

fn main() {
    checkout();
}

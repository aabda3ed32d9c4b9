use redspan::instrumented;

#[instrumented(ok_if = "is_some")]
fn checkout() -> Option<u8> {
    None
}

fn main() {
    checkout();
}

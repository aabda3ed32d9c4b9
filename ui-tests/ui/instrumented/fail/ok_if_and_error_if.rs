use redspan::instrumented;

#[instrumented(ok_if = Option::is_some, error_if = Option::is_none)]
fn checkout() -> Option<u8> {
    None
}

fn main() {
    checkout();
}

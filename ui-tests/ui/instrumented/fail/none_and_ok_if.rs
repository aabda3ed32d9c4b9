use redspan::instrumented;

#[instrumented(none = "error", ok_if = Option::is_some)]
fn ship() -> Option<u8> {
    None
}

fn main() {}

use redspan::instrumented;

#[instrumented(none = "error")]
fn ship() -> u8 {
    1
}

fn main() {}

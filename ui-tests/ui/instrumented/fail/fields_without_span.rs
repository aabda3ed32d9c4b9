use redspan::instrumented;

#[instrumented(span = false, fields(id))]
fn ship(id: u8) {}

fn main() {}

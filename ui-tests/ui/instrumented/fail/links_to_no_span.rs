use redspan::instrumented;

#[instrumented(links(id))]
fn ship(id: u8) {}

fn main() {}

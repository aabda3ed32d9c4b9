use redspan::instrumented;

#[instrumented(service(state))]
fn handler(state: u8) -> u8 {
    state
}

fn main() {}

use redspan::instrumented;

struct State;

#[instrumented(service = state)]
fn handler(state: &State) {}

fn main() {}

use redspan::instrumented;

#[instrumented]
type Handler = fn(u8) -> u8;

fn main() {}

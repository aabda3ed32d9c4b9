use redspan::instrumented;

#[instrumented]
macro_rules! charge {
    () => {};
}

fn main() {
    charge!();
}

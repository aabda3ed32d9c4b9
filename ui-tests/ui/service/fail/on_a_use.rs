#[redspan::instrumented]
use std::fmt::Debug;

fn main() {
    fn shown(_: impl Debug) {}
    shown(1);
}

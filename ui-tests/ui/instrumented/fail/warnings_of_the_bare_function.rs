#![deny(warnings)]
use redspan::instrumented;

#[instrumented]
pub fn unused_parameter(a: u8, (b, c): (u8, u8)) -> u8 {
    c
}

#[instrumented]
pub async fn unused_async(a: u8, mut b: u8) -> u8 {
    let c = 1;
    b
}

#[instrumented]
pub fn unused_mut(mut a: u8) -> u8 {
    a
}

#[instrumented]
pub fn unreachable() -> u8 {
    return 1;
    2
}

#[instrumented]
#[must_use]
pub fn must_use() -> u8 {
    Err::<u8, u8>(1);
    1
}

#[instrumented]
fn dead() {}

fn main() {
    must_use();
}

#![deny(warnings)]

use redspan::instrumented;

mod framework {
    pub use redspan as spans;
}

#[instrumented(crate = framework::spans, fields(id), labels(vip), log)]
fn elsewhere(id: u8, vip: bool) -> Result<u8, String> {
    if vip { Ok(id) } else { Err("no".to_owned()) }
}

fn main() {
    assert_eq!(elsewhere(3, true), Ok(3));
}

#![deny(warnings)]

use redspan::compat::instrument;

#[instrument(nmae = "checkout")]
fn checkout() {}

fn main() {
    checkout();
}

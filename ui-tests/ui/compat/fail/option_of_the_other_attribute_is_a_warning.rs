#![deny(warnings)]
use redspan::compat::instrument;

#[instrument(slo(success, target = 99))]
fn f() {}

fn main() {
    f();
}

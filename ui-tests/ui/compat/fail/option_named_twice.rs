use redspan::compat::instrument;

#[instrument(target = "a", level = "info", target = "b")]
fn checkout() {}

fn main() {
    checkout();
}

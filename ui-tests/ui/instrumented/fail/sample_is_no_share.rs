use redspan::instrumented;

#[instrumented(sample = "alwys")]
fn word() {}

#[instrumented(sample = 1.5)]
fn too_much() {}

#[instrumented(sample = -1)]
fn negative() {}

#[instrumented(sample(0.1))]
fn list() {}

fn main() {
    word();
    too_much();
    negative();
    list();
}

#[derive(redspan::Labels)]
struct S {
    a: u64,
}

fn main() {}

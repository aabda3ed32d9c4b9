#[derive(redspan::Labels)]
struct S {
    #[label(capped(3))]
    a: String,
}

fn main() {}

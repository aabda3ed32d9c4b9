#[derive(redspan::Labels)]
struct S {
    #[label("region")]
    a: bool,
}

fn main() {}

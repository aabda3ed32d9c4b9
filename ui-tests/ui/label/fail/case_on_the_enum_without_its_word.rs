#[derive(redspan::Label)]
#[label("kebab-case")]
enum E {
    A,
}

fn main() {
    let _ = E::A;
}

#[derive(redspan::Label)]
enum E {
    #[label("a", "b")]
    A,
}

fn main() {
    let _ = E::A;
}

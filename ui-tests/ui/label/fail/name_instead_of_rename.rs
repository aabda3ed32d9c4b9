#[derive(redspan::Label)]
enum E {
    #[label(name = "a")]
    A,
}

fn main() {
    let _ = E::A;
}

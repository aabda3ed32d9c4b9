#[derive(redspan::Label)]
enum E {
    #[label()]
    A,
}

fn main() {
    let _ = E::A;
}

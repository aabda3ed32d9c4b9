#[derive(redspan::ErrorType)]
enum E {
    #[error_type("Sold Out")]
    A,
}

fn main() {
    let _ = E::A;
}

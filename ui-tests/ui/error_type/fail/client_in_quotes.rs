#[derive(redspan::ErrorType)]
enum E {
    #[error_type("client")]
    A,
}

fn main() {
    let _ = E::A;
}

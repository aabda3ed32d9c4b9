#[derive(redspan::ErrorType)]
enum E {
    #[error_type(blame = "client")]
    A,
}

fn main() {
    let _ = E::A;
}

#[derive(redspan::ErrorType)]
enum E {
    #[error_type()]
    A,
}

fn main() {
    let _ = E::A;
}

#[derive(redspan::ErrorType)]
enum E {
    #[error_type(404)]
    A,
}

fn main() {
    let _ = E::A;
}

#[derive(redspan::ErrorType)]
enum E {
    #[error_type = "sold_out"]
    A,
}

fn main() {
    let _ = E::A;
}

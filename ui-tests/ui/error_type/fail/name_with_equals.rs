#[derive(redspan::ErrorType)]
enum E {
    #[error_type(name = "sold_out")]
    A,
}

fn main() {
    let _ = E::A;
}

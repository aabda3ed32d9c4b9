#[derive(redspan::ErrorType)]
enum E {
    #[error_type("sold_{0}")]
    A(u8),
}

fn main() {
    let _ = E::A(1);
}

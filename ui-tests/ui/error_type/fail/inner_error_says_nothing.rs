#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(transparent)]
    Gateway(std::fmt::Error),
}

fn main() {
    let Charge::Gateway(_) = Charge::Gateway(std::fmt::Error);
}

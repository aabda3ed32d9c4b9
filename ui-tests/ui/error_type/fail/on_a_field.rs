#[derive(redspan::ErrorType)]
enum Charge {
    Gateway(#[error_type(transparent)] std::fmt::Error),
}

fn main() {
    let Charge::Gateway(_) = Charge::Gateway(std::fmt::Error);
}

#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(level)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type("")]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

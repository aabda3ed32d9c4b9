#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(retryable = "yes")]
    Busy,
}

fn main() {
    let _ = Charge::Busy;
}

#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(retryable)]
    #[error_type("busy", retryable)]
    Busy,
}

fn main() {
    let _ = Charge::Busy;
}

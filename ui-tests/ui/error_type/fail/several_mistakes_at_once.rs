#[derive(redspan::ErrorType)]
#[error_type("charge", levle = "warn")]
enum Charge {
    #[error_type(client, server, level = "loud")]
    Declined,
    #[error_type(transparent, retryable = 3)]
    Busy,
}

fn asks(charge: &Charge) -> &'static str {
    redspan::ErrorType::error_type(charge)
}

fn main() {
    asks(&Charge::Declined);
    asks(&Charge::Busy);
}

#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(colour = "red")]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

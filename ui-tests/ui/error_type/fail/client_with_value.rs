#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(client = true)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

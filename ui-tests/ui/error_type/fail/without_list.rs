#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type = "declined"]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

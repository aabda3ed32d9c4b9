#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(level = "wran")]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

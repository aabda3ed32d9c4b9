#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type("declined", "refused")]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

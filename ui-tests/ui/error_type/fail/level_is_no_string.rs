#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(level = 3)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

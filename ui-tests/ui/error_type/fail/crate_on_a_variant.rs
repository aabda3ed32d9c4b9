#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(crate = ::redspan)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

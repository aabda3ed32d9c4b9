#[derive(redspan::ErrorType)]
#[error_type(transparent)]
enum Charge {
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

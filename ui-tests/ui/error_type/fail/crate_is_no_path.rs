#[derive(redspan::ErrorType)]
#[error_type(crate = "redspan")]
enum Charge {
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

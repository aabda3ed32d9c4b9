#[derive(redspan::ErrorType)]
#[error_type("charge")]
enum Charge {
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

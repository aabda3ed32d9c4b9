#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(cleint)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

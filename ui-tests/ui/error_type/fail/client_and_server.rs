#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(client, server)]
    Declined,
}

fn main() {
    let _ = Charge::Declined;
}

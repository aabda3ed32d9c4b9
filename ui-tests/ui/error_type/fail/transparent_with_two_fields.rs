#[derive(redspan::ErrorType)]
enum Charge {
    #[error_type(transparent)]
    Gateway(u8, u8),
}

fn main() {
    let Charge::Gateway(_, _) = Charge::Gateway(1, 2);
}

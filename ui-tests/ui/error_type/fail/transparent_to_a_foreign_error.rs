#[derive(redspan::ErrorType)]
enum E {
    #[error_type(transparent)]
    A(std::io::Error),
}

fn main() {
    let _: Option<E> = None;
}

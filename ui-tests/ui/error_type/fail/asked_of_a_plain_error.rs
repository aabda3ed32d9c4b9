fn asks(error: impl redspan::ErrorType) -> &'static str {
    error.error_type()
}

fn main() {
    asks(std::fmt::Error);
}

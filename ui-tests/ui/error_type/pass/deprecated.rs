//! What is deprecated is so for its users: to derive is no use of it.
#![deny(warnings)]

#[deprecated]
#[derive(Debug, redspan::ErrorType)]
pub enum Failed {
    #[error_type(client)]
    A,
}

#[derive(Debug, redspan::ErrorType)]
pub enum FailedOf {
    A,
    #[deprecated]
    #[error_type(client)]
    B,
}

fn main() {}

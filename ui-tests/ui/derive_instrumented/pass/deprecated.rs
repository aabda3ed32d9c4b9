//! What is deprecated is so for its users: to derive is no use of it.
#![deny(warnings)]

#[deprecated]
#[derive(redspan::Instrumented)]
pub struct Service {
    #[instrumented(attribute, label)]
    pub vip: bool,
}

#[derive(redspan::Instrumented)]
pub struct ServiceOf {
    #[deprecated]
    #[instrumented(attribute, label)]
    pub vip: bool,
}

fn main() {}

//! What is deprecated is so for its users: to derive is no use of it.
#![deny(warnings)]

#[deprecated]
#[derive(redspan::metrics::Labels)]
pub struct Labels {
    pub vip: bool,
}

#[derive(redspan::metrics::Labels)]
pub struct LabelsOf {
    #[deprecated]
    pub vip: bool,
}

fn main() {}

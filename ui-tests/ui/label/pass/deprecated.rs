//! What is deprecated is so for its users: to derive is no use of it.
#![deny(warnings)]

#[deprecated]
#[derive(redspan::Label)]
pub enum Label {
    A,
}

#[derive(redspan::Label)]
pub enum LabelOf {
    A,
    #[deprecated]
    B,
}

fn main() {}

//! What a call says for a label, kept until the call begins.

use super::sets::{Choice, Text};

/// A choice that nobody has to hold a value for.
#[derive(Debug)]
pub(crate) enum Chosen {
    Closed { index: usize, values: &'static [&'static str] },
    Capped { value: String, most: u32 },
}

impl Choice<'_> {
    pub(crate) fn kept(&self) -> Chosen {
        match *self {
            Choice::Closed { index, values } => Chosen::Closed { index, values },
            Choice::Capped { value, most } => {
                Chosen::Capped { value: Text::of(value).as_str().to_owned(), most }
            }
        }
    }
}

impl Chosen {
    pub(crate) fn choice(&self) -> Choice<'_> {
        match *self {
            Chosen::Closed { index, values } => Choice::Closed { index, values },
            Chosen::Capped { ref value, most } => Choice::Capped { value, most },
        }
    }
}

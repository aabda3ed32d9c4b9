//! A label set may be empty, generic, and named by a re-export.
#![deny(warnings)]

use redspan::metrics::Labels as _;

mod framework {
    pub use redspan;
}

#[derive(redspan::Labels)]
struct Nothing {}

#[derive(redspan::Labels)]
#[label(crate = framework::redspan)]
struct Of<T: redspan::Label> {
    what: T,
    maybe: Option<bool>,
}

fn main() {
    assert_eq!((Nothing::NAMES.len(), Nothing::CLOSED, Nothing {}.slot()), (0, 1, 0));
    let of = Of { what: true, maybe: Some(false) };
    assert_eq!(Of::<bool>::CLOSED, 2 * <Option<bool> as redspan::Label>::VALUES.len());
    assert!(of.slot() < Of::<bool>::CLOSED);
    assert_eq!((of.value(0), of.value(1)), ("true", "false"));
}

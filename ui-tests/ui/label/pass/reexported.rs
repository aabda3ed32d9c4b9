//! Behind another crate's name, beside a trait and a module of the same name.
#![deny(warnings)]

mod framework {
    pub mod metrics {
        pub use redspan as core;
    }
}

mod redspan_ {
    #[allow(dead_code)]
    pub trait Label {}
}

#[allow(unused_imports)]
use redspan_::Label;

#[derive(redspan::Label)]
#[label(crate = framework::metrics::core)]
enum Size {
    Small,
    Large,
}

fn main() {
    use framework::metrics::core::Label as _;
    assert_eq!(Size::VALUES, ["small", "large"]);
    assert_eq!((Size::Small.index(), Size::Large.index()), (0, 1));
}

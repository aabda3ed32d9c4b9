#![deny(warnings)]

use redspan::instrumented;

#[instrumented(kind = "client")]
mod payments {
    #![allow(clippy::needless_pass_by_value)]
    //! Everything in here.

    use std::collections::{BTreeMap, BTreeSet};

    pub const LIMIT: u64 = {
        let one = 1;
        one + 2
    };
    pub static TOTAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    pub type Known = BTreeMap<u64, BTreeSet<u64>>;

    #[derive(Default)]
    pub struct Payments<const N: usize = { 1 + 1 }> {
        pub known: Known,
    }

    pub struct Unit;
    pub struct Pair(pub u8, pub u8);

    pub enum Kind {
        Card,
    }

    macro_rules! free {
        ($name:ident) => {
            pub fn $name() -> u64 {
                LIMIT
            }
        };
    }

    // What a macro writes is not seen.
    free!(written);

    pub fn free(values: &[u64]) -> Option<u64> {
        values.iter().copied().max()
    }

    pub const fn constant() -> u64 {
        LIMIT
    }

    impl<const N: usize> Payments<N> {
        pub fn len(&self) -> usize {
            self.known.len() + N
        }
    }

    #[instrumented(kind = "server")]
    impl<const N: usize> From<Pair> for Payments<N> {
        fn from(pair: Pair) -> Self {
            let one = (u64::from(pair.0), BTreeSet::from([u64::from(pair.1)]));
            Payments { known: BTreeMap::from([one]) }
        }
    }

    pub trait Named {
        fn name(&self) -> String;

        fn shout(&self) -> String {
            self.name().to_uppercase()
        }
    }

    #[instrumented(off)]
    impl Named for Kind {
        fn name(&self) -> String {
            match self {
                Kind::Card => String::from("card"),
            }
        }
    }

    pub mod inner {
        pub fn deep() -> u8 {
            1
        }

        #[instrumented(off)]
        pub fn off() {}
    }

    #[instrumented(off)]
    pub mod outer {
        pub fn left_out() {}
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn not_in_production() {}
    }
}

fn main() {
    use payments::{Kind, Named, Pair, Payments};
    assert_eq!(payments::free(&[1, 3]), Some(3));
    assert_eq!(payments::constant() + payments::written(), 6);
    assert_eq!(<Payments<2>>::from(Pair(1, 2)).len(), 3);
    assert_eq!(Kind::Card.shout(), "CARD");
    assert_eq!(payments::inner::deep(), 1);
    payments::inner::off();
    payments::outer::left_out();
    let (_, _) = (payments::Unit, &payments::TOTAL);
    let mut sites: Vec<_> = redspan::catalog()
        .map(|site| (site.module().split_once("::").unwrap().1, site.function()))
        .collect();
    sites.sort();
    assert_eq!(
        sites,
        [
            ("payments", "<Payments as From<Pair>>::from"),
            ("payments", "Named::shout"),
            ("payments", "Payments::len"),
            ("payments", "free"),
            ("payments::inner", "deep"),
        ]
    );
    for site in redspan::catalog() {
        let server = site.function().contains("From");
        let kind = if server { redspan::Kind::Server } else { redspan::Kind::Client };
        assert_eq!(site.kind(), kind, "{}", site.function());
    }
}

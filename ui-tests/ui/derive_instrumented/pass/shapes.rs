#![deny(warnings)]
#![allow(dead_code)]

use redspan::{Instrumented, instrumented};
use std::fmt::Display;

#[derive(Instrumented)]
struct Unit;

#[derive(Instrumented)]
struct Tuple(#[instrumented(attribute = "zero")] u8, #[instrumented(label = "one")] bool);

#[derive(Instrumented)]
#[instrumented(name = "generic")]
struct Generic<'a, T: Display, const N: usize>
where
    T: Copy,
{
    #[instrumented(attribute)]
    value: T,
    #[instrumented(attribute)]
    text: &'a str,
    bytes: [u8; N],
}

#[derive(Instrumented)]
enum Payment {
    Cash,
    Card {
        #[instrumented(attribute = "card.last")]
        last: u16,
    },
    Other(#[instrumented(attribute = "other")] String, u8),
}

#[derive(Instrumented)]
enum Never {}

/// Not one.
struct Plain;

trait Gateway {
    fn charge(&self);

    fn name() -> &'static str {
        "gateway"
    }
}

macro_rules! service {
    ($($type:ty),*) => {$(
        #[instrumented]
        impl Gateway for $type {
            fn charge(&self) {}
        }
    )*};
}

service!(Unit, Tuple, Payment, Never, Plain, [u8], str);

#[instrumented]
impl<T: Display + Copy, const N: usize> Gateway for Generic<'_, T, N> {
    fn charge(&self) {}

    fn name() -> &'static str {
        "generic"
    }
}

// Each of them may be another service.
#[instrumented]
impl<T: Gateway> Gateway for Vec<T> {
    fn charge(&self) {}
}

fn main() {
    Unit.charge();
    Tuple(1, true).charge();
    Generic { value: 1, text: "a", bytes: [1; 2] }.charge();
    assert_eq!(<Generic<'_, u8, 1>>::name(), "generic");
    Payment::Cash.charge();
    Payment::Card { last: 1 }.charge();
    Payment::Other(String::new(), 2).charge();
    Plain.charge();
    [1_u8][..].charge();
    "text".charge();
    vec![Unit].charge();
    assert_eq!(Unit::name(), "gateway");
    let mut components: Vec<_> =
        redspan::catalog().map(|site| (site.function(), site.component())).collect();
    components.sort();
    assert_eq!(
        components,
        [
            ("<Generic as Gateway>::charge", Some("generic")),
            ("<Generic as Gateway>::name", Some("generic")),
            ("<Never as Gateway>::charge", None),
            ("<Payment as Gateway>::charge", Some("payment")),
            ("<Plain as Gateway>::charge", None),
            ("<Tuple as Gateway>::charge", Some("tuple")),
            ("<Unit as Gateway>::charge", Some("unit")),
            ("<Vec as Gateway>::charge", None),
            ("<[u8] as Gateway>::charge", None),
            ("<str as Gateway>::charge", None),
        ]
    );
}

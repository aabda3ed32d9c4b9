#![deny(warnings)]

use redspan::instrumented;
use std::fmt;

trait Gateway {
    const NAME: &'static str;
    type Receipt;

    fn charge(&self, cents: u64) -> Self::Receipt;

    fn refund(&self) -> u64 {
        0
    }
}

struct Card<T>(T);

#[instrumented]
impl<T: Copy + Into<u64>> Gateway for Card<T> {
    const NAME: &'static str = "card";
    type Receipt = u64;

    fn charge(&self, cents: u64) -> Self::Receipt {
        self.0.into() + cents
    }
}

#[instrumented]
impl<'a> From<&'a str> for Card<&'a str> {
    fn from(text: &'a str) -> Self {
        Card(text)
    }
}

#[instrumented]
impl fmt::Display for Card<&'_ str> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[instrumented]
unsafe impl Send for Card<*const u8> {}

fn main() {
    assert_eq!(Card(1_u8).charge(2), 3);
    assert_eq!(Card(1_u8).refund(), 0);
    assert_eq!(Card::<u8>::NAME, "card");
    assert_eq!(Card::from("visa").to_string(), "visa");
    let mut names: Vec<_> = redspan::catalog().map(|site| site.function()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "<Card as Gateway>::charge",
            "<Card<&str> as Display>::fmt",
            "<Card<&str> as From<&str>>::from",
        ]
    );
}

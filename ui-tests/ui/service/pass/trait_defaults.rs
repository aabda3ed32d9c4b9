#![deny(warnings)]

use redspan::instrumented;

#[instrumented(level = "debug")]
pub trait Gateway<T: Copy>: Send {
    type Receipt;

    fn charge(&self, value: T) -> Self::Receipt;

    fn twice(&self, value: T) -> (Self::Receipt, Self::Receipt) {
        (self.charge(value), self.charge(value))
    }

    fn name() -> &'static str
    where
        Self: Sized,
    {
        "gateway"
    }

    #[instrumented(off)]
    fn left_out(&self) {}
}

struct Card;

impl Gateway<u8> for Card {
    type Receipt = u8;

    fn charge(&self, value: u8) -> u8 {
        value
    }
}

fn main() {
    assert_eq!(Card.twice(2), (2, 2));
    assert_eq!(Card::name(), "gateway");
    Card.left_out();
    let dynamic: &dyn Gateway<u8, Receipt = u8> = &Card;
    assert_eq!(dynamic.twice(3), (3, 3));
    let mut sites: Vec<_> =
        redspan::catalog().map(|site| (site.function(), site.red().started())).collect();
    sites.sort();
    assert_eq!(sites, [("Gateway::name", 1), ("Gateway::twice", 2)]);
}

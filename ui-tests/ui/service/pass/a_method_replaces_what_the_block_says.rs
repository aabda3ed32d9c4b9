#![deny(warnings)]

use redspan::instrumented;

struct Stock;

#[instrumented(error_if = |value: &u8| *value > 9, kind = "client")]
impl Stock {
    fn block(&self, value: u8) -> u8 {
        value
    }

    #[instrumented(error_if = |value: &u8| *value > 99)]
    fn own(&self, value: u8) -> u8 {
        value
    }

    // Says the same in another way.
    #[instrumented(ok_if = |value: &u8| *value == 3)]
    fn other(&self, value: u8) -> u8 {
        value
    }
}

fn main() {
    for value in [3, 20] {
        Stock.block(value);
        Stock.own(value);
        Stock.other(value);
    }
    let errors = |name: &str| {
        let site = redspan::catalog().find(|site| site.function() == name).unwrap();
        assert_eq!(site.kind(), redspan::Kind::Client);
        site.red().count(redspan::Outcome::Error)
    };
    assert_eq!([errors("Stock::block"), errors("Stock::own"), errors("Stock::other")], [1, 0, 1]);
}

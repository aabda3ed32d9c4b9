use redspan::compat::instrument;

struct Prices;

impl Prices {
    #[instrument]
    pub const fn charge(cents: u64) -> u64 {
        cents
    }
}

fn main() {
    Prices::charge(1);
}

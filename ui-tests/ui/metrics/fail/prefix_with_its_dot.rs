use redspan::metrics::Counter;

#[derive(redspan::Metrics)]
#[metrics(prefix = "shop.")]
struct Shop {
    /// Orders placed.
    orders: Counter,
}

fn main() {
    let _ = <Shop as redspan::metrics::Metrics>::register();
}

use redspan::metrics::{Counter, Histogram};

#[derive(redspan::Metrics)]
#[metrics(prefix = "1 shop", suffix = "x")]
struct Shop {
    #[metric(unit = "seconds", bukets = [1, 2])]
    wait: Histogram,
    #[metric(buckets = [2, 1, "x"], exponential)]
    size: Histogram,
    #[metric(limit = 0)]
    orders: Counter,
    #[metric(name = "orders")]
    others: Counter,
    #[metrics(name = "x")]
    more: Counter,
}

fn main() {
    let _ = <Shop as redspan::metrics::Metrics>::register();
}

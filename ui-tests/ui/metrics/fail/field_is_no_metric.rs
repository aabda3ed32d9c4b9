#[derive(redspan::Metrics)]
struct Shop {
    orders: u64,
}

fn main() {
    let _ = <Shop as redspan::metrics::Metrics>::register();
}

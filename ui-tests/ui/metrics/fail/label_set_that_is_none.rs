use redspan::metrics::Counter;

#[derive(redspan::Metrics)]
struct Shop {
    orders: Counter<String>,
}

fn main() {
    let _ = <Shop as redspan::metrics::Metrics>::register();
}

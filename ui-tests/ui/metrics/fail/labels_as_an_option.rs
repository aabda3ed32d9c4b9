#[derive(redspan::Metrics)]
struct S {
    #[metric(labels(region))]
    a: redspan::metrics::Counter,
}

fn main() {}

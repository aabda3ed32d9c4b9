#[derive(redspan::Metrics)]
struct S {
    #[metric(buckets = [1, 2])]
    a: redspan::metrics::Counter,
}

fn main() {}

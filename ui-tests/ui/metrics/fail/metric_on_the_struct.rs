#[derive(redspan::Metrics)]
#[metric(prefix = "shop")]
struct S {
    a: redspan::metrics::Histogram,
}

fn main() {}

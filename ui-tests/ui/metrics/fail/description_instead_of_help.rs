#[derive(redspan::Metrics)]
struct S {
    #[metric(description = "x")]
    a: redspan::metrics::Histogram,
}

fn main() {}

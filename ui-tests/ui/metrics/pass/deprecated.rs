//! What is deprecated is so for its users: to derive is no use of it.
#![deny(warnings)]

#[deprecated]
#[derive(redspan::Metrics)]
pub struct Metrics {
    pub orders: redspan::metrics::Counter,
}

#[derive(redspan::Metrics)]
pub struct MetricsOf {
    #[deprecated]
    pub orders: redspan::metrics::Counter,
}

fn main() {}

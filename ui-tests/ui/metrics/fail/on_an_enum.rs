#[derive(redspan::Metrics)]
enum Shop {
    Open,
}

fn main() {
    let _ = Shop::Open;
}

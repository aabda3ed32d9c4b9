use redspan::compat::instrument;

#[instrument]
async fn total(cents: u64) -> u64 {
    cents + 1;
}

fn main() {
    let _ = total(1);
}

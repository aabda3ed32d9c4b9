use redspan::instrumented;

#[instrumented(fields(size = size().await), labels(full = size().await == 3))]
async fn load() {}

async fn size() -> u64 {
    3
}

fn main() {
    let _ = load();
}

use redspan::compat::instrument;

#[instrument]
async fn charge() -> u32 {
    "a text"
}

fn main() {
    let _call = charge();
}

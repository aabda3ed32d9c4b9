#[derive(redspan::Labels)]
struct Placed {
    tenant: String,
}

fn main() {
    let _ = Placed { tenant: String::new() };
}

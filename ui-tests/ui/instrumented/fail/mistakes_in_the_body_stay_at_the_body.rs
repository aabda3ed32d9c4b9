use redspan::instrumented;

#[instrumented]
fn tail(a: &str) -> usize {
    a
}

#[instrumented]
fn early(a: u8) -> Result<u8, std::fmt::Error> {
    if a > 1 {
        return "text";
    }
    Ok(unknown)
}

#[instrumented]
async fn future(a: String) -> usize {
    drop(a);
    a.len()
}

#[instrumented]
async fn question(a: Option<u8>) -> Result<u8, std::fmt::Error> {
    Ok(a?)
}

fn main() {}

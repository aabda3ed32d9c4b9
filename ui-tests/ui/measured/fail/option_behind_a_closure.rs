fn main() {
    let _ = redspan::measured!("x", |n: u8| n + 1, level = "debug");
}

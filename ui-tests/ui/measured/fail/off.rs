fn main() {
    let _ = redspan::measured!("x", off, { 1 });
}

fn main() {
    let _ = redspan::measured!("fill", busy, { 1 });
}

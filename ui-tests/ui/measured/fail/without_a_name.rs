fn main() {
    let _ = redspan::measured!({ 1 });
}

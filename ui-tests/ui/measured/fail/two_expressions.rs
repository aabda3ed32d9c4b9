fn main() {
    let _ = redspan::measured!("x", { 1 }, { 2 });
}

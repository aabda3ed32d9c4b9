fn main() {
    let _ = redspan::measured!("fill", name = "other", { 1 });
}

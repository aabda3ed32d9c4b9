fn main() {
    let _ = redspan::measured!("fill", level = "debug");
}

fn main() {
    redspan::measured!("x");
}

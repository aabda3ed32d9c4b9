fn main() {
    redspan::measured!("x", fields(a = 1) { 1 });
}

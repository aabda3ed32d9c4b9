fn main() {
    let v = 1;
    redspan::measured!("x", v);
}

fn main() {
    let _ = redspan::measured!("x", if true { 1 } else { 2 });
}

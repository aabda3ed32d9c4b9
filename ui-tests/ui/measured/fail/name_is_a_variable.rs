fn main() {
    let n = "x";
    let _ = redspan::measured!(n, { 1 });
}

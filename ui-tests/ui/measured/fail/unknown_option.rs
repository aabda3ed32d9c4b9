fn main() {
    let _ = redspan::measured!("fill", lebel = "debug", { 1 });
}

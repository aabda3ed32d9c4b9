fn main() {
    let text: &str = redspan::measured!("fill", { 1 });
    let number = redspan::measured!("fill", |text: &str| text.len() + nobody);
    for _ in [1] {
        redspan::measured!("leave", { break });
    }
    let unused = redspan::measured!("unused", { text.len() + number("x") });
}

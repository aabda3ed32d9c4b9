fn main() {
    loop {
        redspan::measured!("x", {
            break;
        });
    }
}

fn compute(n: u8) -> u8 {
    n
}

fn main() {
    let _ = redspan::measured!("fill", compute(1));
}

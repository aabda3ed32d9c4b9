fn main() {
    let _ = redspan::measured!("x", || both::<u8, u8>());
    let _ = redspan::measured!("x", |n: u8| n | 1, |n: u8| n | 2);
}

fn both<A, B>() {}

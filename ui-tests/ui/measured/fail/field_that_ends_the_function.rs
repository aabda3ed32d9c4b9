fn f(size: Option<u8>) -> Option<u8> {
    let n = redspan::measured!("x", fields(size = size?), { 1_u8 });
    Some(n)
}

fn main() {
    let _ = f(None);
}

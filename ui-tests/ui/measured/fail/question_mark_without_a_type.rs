fn f() -> Result<u8, std::num::ParseIntError> {
    let n = redspan::measured!("x", { "1".parse::<u8>()? });
    Ok(n)
}

fn main() {
    let _ = f();
}

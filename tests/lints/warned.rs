//! Everything that a bare function is warned of. `ATTRIBUTE` is replaced by the attribute, or by nothing.
#![allow(dead_code)]
#![warn(
    clippy::many_single_char_names,
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_async
)]

#[warn(dead_code)]
mod never_used {
    ATTRIBUTE
    fn dead() {}

    ATTRIBUTE
    async fn dead_later() {}

    struct Dead;

    impl Dead {
        ATTRIBUTE
        fn method(&self) {}
    }
}

ATTRIBUTE
pub fn unused_variables(unused: u8, mut unneeded: u8, (left, right): (u8, u8)) -> u8 {
    let local = 1;
    let mut steady = 2;
    unneeded + left + steady
}

ATTRIBUTE
pub async fn unused_variables_later(unused: u8, mut unneeded: u8, (left, right): (u8, u8)) -> u8 {
    let local = 1;
    let mut steady = std::future::ready(2).await;
    unneeded + left + steady
}

pub struct Service(u8);

impl Service {
    ATTRIBUTE
    pub fn unused_in_a_method(&self, unused: u8) -> u8 {
        let local = self.0;
        1
    }

    ATTRIBUTE
    pub async fn unused_in_an_async_method(&mut self, unused: u8) {
        let local = std::future::ready(self.0).await;
    }
}

ATTRIBUTE
pub fn assigned_and_never_read(n: u8) -> u8 {
    let mut last = n;
    last = 1;
    n
}

ATTRIBUTE
pub fn unreachable_code(n: u8) -> u8 {
    return n;
    let n = n + 1;
    n
}

ATTRIBUTE
pub async fn unreachable_code_later(n: u8) -> u8 {
    return n;
    let n = std::future::ready(n).await;
    n
}

ATTRIBUTE
pub fn unreachable_behind_a_loop() -> u8 {
    loop {}
    1
}

ATTRIBUTE
pub fn never() -> ! {
    loop {}
}

ATTRIBUTE
pub fn behind_never() {
    never();
    unused_variables(1, 2, (3, 4));
}

ATTRIBUTE
pub fn unreachable_pattern(n: u8) -> u8 {
    match n {
        _ => 1,
        2 => 2,
    }
}

ATTRIBUTE
#[must_use]
pub fn must_be_used() -> u8 {
    1
}

ATTRIBUTE
#[must_use = "said why"]
pub async fn must_be_used_later() -> u8 {
    1
}

ATTRIBUTE
pub fn fails() -> Result<u8, std::fmt::Error> {
    Ok(1)
}

ATTRIBUTE
pub async fn fails_later() -> Result<u8, std::fmt::Error> {
    Ok(1)
}

ATTRIBUTE
pub fn makes_a_future() -> impl std::future::Future<Output = u8> {
    async { 1 }
}

ATTRIBUTE
#[deprecated = "said why"]
pub fn deprecated() {}

ATTRIBUTE
pub fn drops_what_must_be_used() {
    must_be_used();
    fails();
    fails_later();
    must_be_used_later();
    makes_a_future();
    deprecated();
    vec![1].iter().map(|n: &u8| n + 1);
}

ATTRIBUTE
pub async fn drops_what_must_be_used_later() {
    must_be_used();
    must_be_used_later().await;
    fails_later().await;
    fails_later();
}

ATTRIBUTE
pub fn imports_for_nothing() {
    use std::fmt::Write;
    let x = (1);
    if (x == 1) {}
    let unit = ();
    unsafe {}
}

ATTRIBUTE
pub fn wrongNames(Wrong: u8) -> u8 {
    Wrong
}

ATTRIBUTE
pub fn recursion_without_end(n: u8) -> u8 {
    recursion_without_end(n)
}

ATTRIBUTE
pub fn overflows() -> u8 {
    let n = 255_u8 + 1;
    n
}

ATTRIBUTE
pub fn private_in_public(_: &Hidden) {}

struct Hidden;

ATTRIBUTE
pub fn idle(text: &String, items: &Vec<u8>) -> usize {
    let length = text.len() + items.len();
    return length;
}

ATTRIBUTE
pub fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

ATTRIBUTE
pub fn needless<'a>(text: &'a str) -> &'a str {
    let out = text;
    out
}

ATTRIBUTE
pub async fn clones(text: String) -> String {
    let text = text.clone().to_string();
    if text.len() == 0 { String::new() } else { text }
}

ATTRIBUTE
fn by_value(text: String, boxed: Box<u8>, ref borrowed: u8) -> Option<usize> {
    Some(text.len() + usize::from(*boxed) + usize::from(*borrowed))
}

ATTRIBUTE
fn single_letters((a, b): (u8, u8), [c, d, e, f]: [u8; 4]) -> u8 {
    a + b + c + d + e + f
}

ATTRIBUTE
pub async fn errors_without_docs(text: &str) -> Result<u8, std::num::ParseIntError> {
    std::future::ready(text.parse()).await
}

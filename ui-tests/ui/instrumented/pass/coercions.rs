//! A body coerces to the return type through `return`, `?` and its tail, as in the bare function.
#![deny(warnings)]

use redspan::instrumented;
use std::error::Error;
use std::fmt::{self, Debug, Display};

#[derive(Debug)]
struct Concrete;
impl Display for Concrete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("concrete")
    }
}
impl Error for Concrete {}

#[instrumented]
fn boxed(way: u8) -> Result<(), Box<dyn Error>> {
    if way == 0 {
        return Err(Box::new(Concrete));
    }
    if way == 1 {
        Err(Concrete)?;
    }
    Err(Box::new(Concrete))
}

#[instrumented]
async fn boxed_async(way: u8) -> Result<(), Box<dyn Error + Send + Sync>> {
    if way == 0 {
        return Err(Box::new(Concrete));
    }
    if way == 1 {
        Err(Concrete)?;
    }
    Err(Box::new(Concrete))
}

#[instrumented]
fn text(a: &String, first: bool) -> &str {
    if first {
        return a;
    }
    a
}

#[instrumented]
async fn text_async(a: &String, first: bool) -> &str {
    if first {
        return a;
    }
    a
}

#[instrumented]
fn object(first: bool) -> Box<dyn Debug> {
    if first {
        return Box::new(1);
    }
    Box::new("two")
}

#[instrumented]
async fn object_async(first: bool) -> Box<dyn Debug> {
    if first {
        return Box::new(1);
    }
    Box::new("two")
}

#[instrumented]
fn slice() -> &'static [u8] {
    &[1, 2, 3]
}

#[instrumented]
async fn pointer() -> fn(u8) -> u8 {
    fn one(a: u8) -> u8 {
        a
    }
    one
}

#[instrumented]
async fn closure(first: bool) -> Box<dyn Fn(&str) -> usize> {
    if first {
        return Box::new(|s| s.len());
    }
    Box::new(|s| s.len() + 1)
}

#[instrumented]
async fn diverges(go: bool) {
    if go {
        return;
    }
    panic!("diverged");
}

#[instrumented]
async fn collects() -> Result<Vec<u8>, Concrete> {
    [1, 2].into_iter().map(Ok).collect()
}

#[instrumented]
fn parses() -> Result<u8, std::num::ParseIntError> {
    "1".parse()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for way in 0..3 {
        assert!(boxed(way).is_err());
        assert!(boxed_async(way).await.is_err());
    }
    let owned = String::from("a");
    assert_eq!(text(&owned, true), text(&owned, false));
    assert_eq!(text_async(&owned, true).await, text_async(&owned, false).await);
    assert_eq!(format!("{:?}{:?}", object(true), object(false)), "1\"two\"");
    assert_eq!(format!("{:?}", object_async(true).await), "1");
    assert_eq!(slice().len(), 3);
    assert_eq!(pointer().await(1), 1);
    assert_eq!(closure(false).await("abc"), 4);
    diverges(true).await;
    assert!(collects().await.is_ok());
    assert!(parses().is_ok());
}

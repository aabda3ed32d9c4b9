//! `impl Trait` as argument and as return type, alone and inside another type.
#![deny(warnings)]

use redspan::instrumented;
use std::fmt::Display;
use std::future::Future;

#[instrumented]
fn argument(a: impl Display, f: impl Fn(u8) -> u8) -> String {
    format!("{a}{}", f(1))
}

#[instrumented]
fn iterator(items: &[u8]) -> impl Iterator<Item = u8> + '_ {
    items.iter().copied()
}

#[instrumented]
fn closure() -> impl Fn(&str) -> usize {
    |text: &str| text.len()
}

fn typed<F: Fn(&str) -> &str>(f: F) -> F {
    f
}

#[instrumented]
fn borrowing_closure(from: usize) -> impl Fn(&str) -> &str {
    typed(move |text| &text[from..])
}

#[instrumented]
fn early_closure(early: bool) -> impl FnOnce(&mut Vec<u8>) -> usize {
    if early {
        return closure_of(1);
    }
    closure_of(2)
}

fn closure_of(n: u8) -> Box<dyn FnOnce(&mut Vec<u8>) -> usize> {
    Box::new(move |list| {
        list.push(n);
        list.len()
    })
}

#[instrumented]
fn inside(fail: bool) -> Result<impl Fn(&str) -> usize, Box<dyn std::error::Error>> {
    if fail {
        return Err("no".into());
    }
    if fail {
        Err(std::fmt::Error)?;
    }
    Ok(|text: &str| text.len())
}

#[instrumented]
async fn inside_async(fail: bool) -> Result<impl Fn(&str) -> usize, Box<dyn std::error::Error>> {
    if fail {
        return Err("no".into());
    }
    if fail {
        Err(std::fmt::Error)?;
    }
    Ok(|text: &str| text.len())
}

#[instrumented]
async fn closure_async() -> impl Fn(&str) -> usize {
    |text: &str| text.len()
}

#[instrumented]
fn future(n: u8) -> impl Future<Output = u8> {
    async move { n }
}

#[instrumented]
fn pair<'a>(a: &'a str, b: impl Into<String>) -> (impl Iterator<Item = char> + 'a, impl Display) {
    (a.chars(), b.into())
}

struct Tree(Vec<Tree>);
impl Tree {
    #[instrumented]
    fn depths(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        Box::new(self.0.iter().flat_map(|child| child.depths().map(|d| d + 1)).chain([0]))
    }
    #[instrumented]
    fn children(&self) -> impl Iterator<Item = &Tree> {
        self.0.iter()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(argument('a', |n| n), "a1");
    assert_eq!(iterator(&[1, 2]).count(), 2);
    assert_eq!(closure()("abc"), closure_async().await("abc"));
    assert_eq!(borrowing_closure(1)("abc"), "bc");
    assert_eq!(early_closure(true)(&mut vec![1]), 2);
    assert_eq!(inside(false).map_or(0, |f| f("abc")), 3);
    assert_eq!(inside_async(false).await.map_or(0, |f| f("abc")), 3);
    assert!(inside(true).is_err() && inside_async(true).await.is_err());
    assert_eq!(future(1).await, 1);
    assert_eq!(pair("ab", "c").0.count(), 2);
    let tree = Tree(vec![Tree(vec![])]);
    assert_eq!(tree.depths().count(), 2);
    assert_eq!(tree.children().count(), 1);
}

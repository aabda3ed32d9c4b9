//! No lint of the user's speaks up because of what the attribute writes.
#![deny(
    warnings,
    missing_debug_implementations,
    rust_2018_idioms,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unreachable_pub,
    unused_lifetimes,
    unused_qualifications,
    unused_results
)]
#![forbid(unsafe_code)]

use redspan::compat::instrument;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Debug)]
struct Pair<T> {
    x: T,
    y: (u8, Option<T>),
}

#[instrument]
fn deep(
    Pair { x, y: (z, w) }: Pair<u8>,
    (a, (b, [c, ..])): (u8, (u8, [u8; 3])),
    &(d, ref e): &(u8, String),
) -> usize {
    usize::from(x + z + w.unwrap_or(0) + a + b + c + d) + e.len()
}

#[instrument]
fn whole(all @ Pair { .. }: Pair<u8>, mut list: Vec<u8>, _: &str) -> Vec<u8> {
    list.push(all.x);
    list
}

#[instrument(skip(it), ret)]
fn given(it: impl IntoIterator<Item = u32>, name: impl AsRef<str> + Debug) -> u32 {
    it.into_iter().sum::<u32>() + u32::from(name.as_ref().is_empty())
}

#[instrument(skip_all)]
fn higher<F>(f: F) -> usize
where
    F: for<'x> Fn(&'x str) -> &'x str,
{
    f("ab").len()
}

#[instrument(fields(n = N, short = list.len() < 2))]
fn borrowed<'a, const N: usize>(list: &'a mut Vec<u8>, at: [usize; N]) -> Option<&'a mut u8> {
    for index in at {
        if list.len() > index {
            return list.get_mut(index);
        }
    }
    None
}

#[derive(Debug, Clone)]
struct Till {
    cents: u8,
}

impl Till {
    #[instrument]
    fn open(&mut self, by: u8) -> &mut u8 {
        self.cents += by;
        &mut self.cents
    }

    #[instrument]
    fn boxed(self: Box<Self>) -> u8 {
        self.cents
    }

    #[instrument]
    fn shared(self: Rc<Self>) -> u8 {
        self.cents
    }

    #[instrument]
    fn beside(self: &Arc<Self>) -> u8 {
        self.cents
    }

    #[instrument(skip(self), fields(cents = self.cents))]
    fn pinned(self: Pin<&mut Self>) -> u8 {
        self.cents
    }

    #[instrument(err, ret)]
    async fn take(&mut self, by: u8) -> Result<&mut Self, String> {
        tokio::task::yield_now().await;
        if by > self.cents {
            return Err(format!("no {by}"));
        }
        self.cents -= by;
        Ok(self)
    }

    #[instrument]
    async fn itself(self) -> Self {
        self
    }
}

#[instrument(err)]
fn later(a: u8) -> impl Future<Output = Result<u8, String>> + Send {
    let b = a + 1;
    async move { if b > 3 { Err(String::from("much")) } else { Ok(b) } }
}

#[instrument(ret, err(Debug, level = "warn"))]
fn pinned<'a>(a: &'a str) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send + 'a>> {
    Box::pin(async move {
        if a.is_empty() {
            return Err("empty".into());
        }
        Ok(a.len())
    })
}

#[instrument(skip(f))]
async fn called<T: Debug>(f: impl AsyncFn(u8) -> T, a: u8) -> T {
    f(a).await
}

#[instrument]
extern "C" fn foreign(r#type: u8) -> u8 {
    r#type
}

macro_rules! methods {
    ($owner:ty, $($name:ident),*) => {
        impl $owner {
            $(#[instrument(skip(self))]
            fn $name(&self, a: u8) -> u8 {
                self.cents + a
            })*
        }
    };
}
methods!(Till, first, second);

macro_rules! options {
    ($name:ident, $level:literal, $called:expr, $($field:ident = $value:expr),*) => {
        #[instrument(level = $level, name = $called, fields($($field = $value),*, %local), err)]
        fn $name<E: Display>(local: E) -> Result<u8, E>
        where
            E: Debug,
        {
            let other = local;
            Err(other)
        }
    };
}
options!(refuses, "info", "named", one = 1, two = "x");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pair = || Pair { x: 1, y: (2, Some(3)) };
    assert_eq!(deep(pair(), (1, (2, [3; 3])), &(4, String::from("e"))), 17);
    assert_eq!(whole(pair(), vec![], "").len(), 1);
    assert_eq!(given([1, 2], "n"), 3);
    assert_eq!(higher(|x| x), 2);
    assert_eq!(borrowed(&mut vec![7], [3, 0]).copied(), Some(7));
    let mut till = Till { cents: 1 };
    *till.open(2) += 1;
    assert_eq!(till.cents, 4);
    assert_eq!(Box::new(till.clone()).boxed(), 4);
    assert_eq!(Rc::new(till.clone()).shared(), 4);
    assert_eq!(Arc::new(till.clone()).beside(), 4);
    assert_eq!(Pin::new(&mut till).pinned(), 4);
    assert_eq!(till.take(3).await.map(|till| till.cents), Ok(1));
    assert!(till.take(3).await.is_err());
    assert_eq!(till.clone().itself().await.cents, 1);
    assert_eq!(later(1).await, Ok(2));
    assert!(pinned("").await.is_err());
    assert_eq!(called(async |x| x + 1, 1).await, 2);
    assert_eq!(foreign(1), 1);
    assert_eq!(till.first(1) + till.second(2), 5);
    assert!(refuses("x").is_err());
}

//! Fifty annotated functions of many shapes, without a warning: those of the bare functions' lints that
//! an attribute could make fire are all on.
#![deny(warnings, clippy::pedantic, clippy::nursery)]

use redspan::{ErrorType, Instrumented, Label, instrumented, measured};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Label)]
enum Region {
    Eu,
    Us,
}

#[derive(Debug, ErrorType)]
enum OrderError {
    #[error_type(client)]
    Empty,
    #[error_type(retryable)]
    Away(fmt::Error),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Away(error) => write!(f, "away: {error}"),
        }
    }
}

impl From<fmt::Error> for OrderError {
    fn from(error: fmt::Error) -> Self {
        Self::Away(error)
    }
}

#[derive(Clone, Copy)]
struct Point {
    x: i64,
    y: i64,
}

// Free functions.

#[instrumented]
fn nothing() {}

#[instrumented]
fn doubled(n: u64) -> u64 {
    n * 2
}

#[instrumented(name = "sum", fields(items.len = items.len()))]
fn summed(items: &[u64]) -> u64 {
    items.iter().sum()
}

#[instrumented(err = "type", labels(region))]
fn checked(region: Region, n: u64) -> Result<u64, OrderError> {
    if n == 0 {
        return Err(OrderError::Empty);
    }
    Ok(n + u64::from(region == Region::Us))
}

#[instrumented]
fn asked(text: &str) -> Result<String, OrderError> {
    use std::fmt::Write as _;
    let mut out = String::new();
    write!(out, "{text}")?;
    Ok(out)
}

#[instrumented(none = "error")]
fn found(map: &HashMap<String, u64>, key: &str) -> Option<u64> {
    let value = map.get(key)?;
    Some(*value)
}

#[instrumented]
fn taken(mut items: Vec<u64>) -> Vec<u64> {
    items.push(1);
    items
}

#[instrumented]
fn unused(_permit: Arc<()>, _: u8) {}

#[instrumented(fields(x))]
fn taken_apart(Point { x, y }: Point, (a, b): (i64, i64), [c, ..]: [i64; 3]) -> i64 {
    x + y + a + b + c
}

#[instrumented]
fn nested(&(left, ref right): &(u8, String)) -> usize {
    usize::from(left) + right.len()
}

#[instrumented]
fn first<'a>(left: &'a str, _right: &str) -> &'a str {
    left
}

#[instrumented]
fn elided(text: &str) -> &str {
    text.trim()
}

#[instrumented]
fn last(items: &mut Vec<u8>) -> Option<&mut u8> {
    items.push(0);
    items.last_mut()
}

#[instrumented]
fn generic<T, const N: usize>(items: &[T; N]) -> Vec<T>
where
    T: Clone,
{
    items.to_vec()
}

#[instrumented]
fn shown(value: impl fmt::Display) -> String {
    value.to_string()
}

#[instrumented]
fn evens(upto: u8) -> impl Iterator<Item = u8> {
    (0..upto).filter(|n| n.is_multiple_of(2))
}

#[instrumented]
fn adder(by: u64) -> impl Fn(u64) -> u64 {
    move |n: u64| n + by
}

#[instrumented]
fn boxed(by: u64) -> Box<dyn Fn(u64) -> u64> {
    Box::new(move |n| n + by)
}

#[instrumented]
fn cow(text: &str) -> Cow<'_, str> {
    if text.is_empty() { Cow::Owned(String::from("-")) } else { Cow::Borrowed(text) }
}

#[instrumented]
fn factorial(n: u64) -> u64 {
    if n < 2 { 1 } else { n * factorial(n - 1) }
}

#[instrumented]
fn looped(items: &[u8]) -> Option<usize> {
    for (at, item) in items.iter().enumerate() {
        if *item == 0 {
            continue;
        }
        return Some(at);
    }
    None
}

#[instrumented]
fn matched(n: i8) -> &'static str {
    match n {
        0 => "zero",
        n if n > 0 => "more",
        _ => "less",
    }
}

#[instrumented]
unsafe fn without_check(text: &[u8]) -> &str {
    // SAFETY: the caller's.
    unsafe { std::str::from_utf8_unchecked(text) }
}

#[instrumented]
extern "C" fn foreign(n: i32) -> i32 {
    n + 1
}

#[instrumented]
#[inline]
#[must_use]
fn kept(n: u8) -> u8 {
    n + 1
}

#[instrumented]
#[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

/// Documented.
///
/// # Panics
/// Without an item.
#[instrumented]
fn documented(items: &[u8]) -> u8 {
    assert!(!items.is_empty(), "an item");
    items[0]
}

#[instrumented(error_if = |n| *n > 10, log = "debug", level = "debug", kind = "client", sample = 0.5)]
fn optioned(n: u64) -> u64 {
    n
}

#[instrumented(slo(latency = "250ms", target = 99.9), slo(success, target = 99))]
fn promised() -> u8 {
    1
}

#[instrumented(labels(tenant = capped(tenant, 10), long = |out: &String| out.len() > 3, empty = |out| out.is_empty()))]
fn told_apart(tenant: &str) -> String {
    tenant.to_owned()
}

#[instrumented(root, links(links))]
fn begun(links: &[redspan::SpanContext]) {
    let _ = links;
}

#[instrumented(metrics = false)]
fn only_span() {}

#[instrumented(span = false)]
fn only_metrics() {}

#[instrumented]
fn tuple(n: u8) -> (u8, Option<u8>) {
    (n, None)
}

#[instrumented]
fn array<const N: usize>(n: u8) -> [u8; N] {
    [n; N]
}

#[instrumented]
fn dynamic(error: &dyn std::error::Error) -> String {
    error.to_string()
}

#[instrumented]
fn called(mut with: impl FnMut(u8) -> u8) -> u8 {
    with(1) + with(2)
}

#[instrumented]
fn destined(text: &str) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    if text.is_empty() {
        return Err("empty".into());
    }
    Ok(text.parse()?)
}

// Futures.

#[instrumented]
async fn later(n: u64) -> Result<u64, OrderError> {
    let n = std::future::ready(n).await;
    checked(Region::Eu, n)
}

#[instrumented(fields(text), busy)]
async fn borrowed(text: &str) -> usize {
    std::future::ready(()).await;
    text.len()
}

#[instrumented]
async fn released(_permit: Arc<()>, (a, b): (u8, u8)) -> u8 {
    std::future::ready(a + b).await
}

#[instrumented]
async fn deeper(n: u8) -> u8 {
    if n == 0 {
        return 0;
    }
    1 + Box::pin(deeper(n - 1)).await
}

#[instrumented]
#[must_use]
async fn with_attribute(n: u8) -> u8 {
    std::future::ready(n).await
}

#[instrumented]
fn made(n: u8) -> impl Future<Output = u8> + Send {
    async move { std::future::ready(n).await }
}

#[instrumented(fields(n))]
fn pinned<'a>(n: u8, text: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    Box::pin(async move { usize::from(n) + text.len() })
}

// Methods.

#[derive(Instrumented)]
struct Orders {
    #[instrumented(attribute, label)]
    region: Region,
    open: Vec<u64>,
}

#[instrumented]
impl Orders {
    fn new(region: Region) -> Self {
        Self { region, open: Vec::new() }
    }

    fn count(&self) -> usize {
        self.open.len()
    }

    // What is polled holds neither the receiver nor the arguments as they came.
    #[instrumented(labels(plan, tenant = capped(tenant, 3)))]
    fn ready(&self, plan: bool, tenant: String) -> impl Future<Output = usize> + Send + use<> {
        std::future::ready(self.open.len() + usize::from(plan) + tenant.into_bytes().len())
    }

    fn detached(&self) -> impl Future<Output = usize> + Send + use<> {
        let count = self.count();
        async move { count }
    }

    fn add(&mut self, id: u64) -> &mut Self {
        self.open.push(id);
        self
    }

    #[instrumented(fields(id))]
    async fn close(&mut self, id: u64) -> Result<(), OrderError> {
        let at = self.open.iter().position(|open| *open == id).ok_or(OrderError::Empty)?;
        std::future::ready(self.open.remove(at)).await;
        Ok(())
    }

    fn into_open(self) -> Vec<u64> {
        self.open
    }

    fn shared(self: Arc<Self>) -> usize {
        self.open.len()
    }
}

trait Ships {
    fn ship(&self, id: u64) -> Result<u64, OrderError>;

    #[instrumented]
    fn ship_all(&self, ids: &[u64]) -> Result<Vec<u64>, OrderError> {
        ids.iter().map(|id| self.ship(*id)).collect()
    }
}

#[instrumented]
impl Ships for Orders {
    fn ship(&self, id: u64) -> Result<u64, OrderError> {
        if self.open.contains(&id) { Ok(id) } else { Err(OrderError::Empty) }
    }
}

/// Whose `Drop` reads what its methods set last.
struct Lease {
    kept: bool,
}

impl Lease {
    #[instrumented]
    fn keep(mut self) {
        self.kept = true;
    }

    #[instrumented]
    async fn keep_later(mut self) {
        now(std::future::ready(()));
        self.kept = true;
    }

    #[redspan::compat::instrument(skip_all)]
    fn keep_as_tracing(mut self) {
        self.kept = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        println!("{}", self.kept);
    }
}

impl Drop for Point2 {
    #[instrumented]
    fn drop(&mut self) {
        self.0 = 0;
    }
}

struct Point2(u8);

macro_rules! made_by_macro {
    ($($name:ident),*) => {$(
        #[instrumented]
        fn $name(n: u8) -> u8 {
            n + 1
        }
    )*};
}

made_by_macro!(one, two);

fn expressions(text: &str) -> usize {
    let length = measured!("length", fields(text), { text.len() });
    let each = measured!("each", |text: &str| text.len());
    length + each(text)
}

fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => Some(out),
        Poll::Pending => None,
    }
}

fn main() -> Result<(), OrderError> {
    nothing();
    unused(Arc::new(()), 1);
    only_span();
    only_metrics();
    begun(&[]);
    let mut seen = vec![doubled(1), summed(&[1]), checked(Region::Us, 1)?, factorial(3)];
    seen.extend(found(&HashMap::new(), "a"));
    seen.extend(taken(vec![1]));
    seen.extend(generic(&[1, 2]));
    seen.extend([adder(1)(1), boxed(1)(1), optioned(1)]);
    let texts = [asked("a")?, shown(1), cow("a").into_owned(), told_apart("a")];
    let small =
        [kept(1), many(1, 2, 3, 4, 5, 6, 7, 8), documented(&[1]), promised(), one(1), two(1)];
    let texts = texts.iter().map(String::len).sum::<usize>() + elided(" a").len();
    let apart = taken_apart(Point { x: 1, y: 2 }, (3, 4), [5, 6, 7]);
    let texts = texts + nested(&(1, String::new())) + first("a", "b").len() + matched(1).len();
    // SAFETY: it is ASCII.
    let texts = texts + unsafe { without_check(b"a") }.len() + expressions("a");
    println!("{seen:?} {texts} {small:?} {apart} {:?} {:?}", last(&mut Vec::new()), looped(&[1]));
    println!("{:?} {:?} {}", tuple(1), array::<2>(1), dynamic(&fmt::Error));
    println!("{:?} {}", destined("1").is_ok(), called(|n| n));
    println!("{} {:?}", evens(3).count(), foreign(1));
    println!("{:?} {:?} {:?}", now(later(1)), now(borrowed("a")), now(made(1)));
    println!("{:?} {:?}", now(released(Arc::new(()), (1, 2))), now(deeper(2)));
    println!("{:?} {:?}", now(with_attribute(1)), now(pinned(1, "a")));
    let mut orders = Orders::new(Region::Eu);
    println!("{}", orders.add(1).add(2).count());
    println!("{:?} {:?}", now(orders.ready(true, String::new())), now(orders.detached()));
    println!("{:?} {:?}", orders.ship_all(&[1]), now(orders.close(1)).transpose()?);
    println!("{:?}", orders.into_open());
    println!("{}", Arc::new(Orders::new(Region::Us)).shared());
    drop(Point2(1));
    Lease { kept: false }.keep();
    now(Lease { kept: false }.keep_later());
    Lease { kept: false }.keep_as_tracing();
    Ok(())
}

//! Functions that return a future or a stream: as written, and measured until it finishes.
#![deny(warnings)]

use redspan::instrumented;
use std::future::{Future, ready};
use std::pin::Pin;

struct Id(u8);

#[instrumented(fields(id, kept = *kept, both = id + *kept))]
fn at_the_end(id: u8, Id(kept): Id, _unused: String) -> impl Future<Output = Result<u8, Box<dyn std::error::Error>>> {
    let more = id + 1;
    async move {
        if id == 0 {
            return Err("nothing".into());
        }
        if more == 3 {
            Err(std::fmt::Error)?;
        }
        Ok(id + kept)
    }
}

#[instrumented]
fn early(id: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    if id == 0 {
        return Box::pin(ready(0));
    }
    Box::pin(async move { id })
}

#[instrumented]
fn borrows<'a>(text: &'a str, more: &str) -> impl Future<Output = &'a str> + use<'a> {
    let more = more.len();
    async move { text.get(more..).unwrap_or_default() }
}

#[instrumented]
fn unpinned(id: u8) -> Box<dyn Future<Output = u8> + Unpin> {
    Box::new(ready(id))
}

// Whoever gets it pins it.
#[instrumented]
fn not_unpin<'a>(id: &'a u8) -> Box<dyn Future<Output = &'a u8> + Send + 'a> {
    Box::new(async move { id })
}

#[instrumented]
fn opaque() -> impl Future<Output = impl Fn(&str) -> usize> {
    async move { |text: &str| text.len() }
}

trait Store {
    fn get(&self, key: u8) -> impl Future<Output = Option<&u8>> + Send;
    fn boxed<'a>(&'a self, key: u8) -> Pin<Box<dyn Future<Output = Option<&'a u8>> + Send + 'a>>;
}

struct Memory(Vec<u8>);

impl Store for Memory {
    #[instrumented(fields(key, rows = self.0.len()))]
    fn get(&self, key: u8) -> impl Future<Output = Option<&u8>> + Send {
        async move { self.0.get(usize::from(key)) }
    }
    #[instrumented(fields(key, rows = self.0.len()))]
    fn boxed<'a>(&'a self, key: u8) -> Pin<Box<dyn Future<Output = Option<&'a u8>> + Send + 'a>> {
        Box::pin(async move { self.0.get(usize::from(key)) })
    }
}

#[derive(redspan::Instrumented)]
struct Service {
    #[instrumented(attribute, label)]
    open: bool,
}

// What is polled holds nothing of them, and may live longer.
#[instrumented]
impl Service {
    #[instrumented(labels(tier = first.0 > 1, tenant = capped(tenant, 2)), links(cause))]
    fn made<T: Send + 'static>(
        &self,
        first: (u8, T),
        tenant: String,
        cause: Option<redspan::SpanContext>,
    ) -> impl Future<Output = u8> + Send + use<T> {
        drop((tenant, cause));
        ready(first.0)
    }

    fn literal(&self) -> Pin<Box<dyn Future<Output = u8> + Send>> {
        Box::pin(ready(1))
    }

    fn detached(self) -> impl Future<Output = u8> + Send {
        async move { 1 }
    }

    #[instrumented(labels(tier))]
    fn text<'a>(&self, (tier, text): (bool, &'a str)) -> Pin<Box<dyn Future<Output = &'a str> + Send + 'a>> {
        let _ = tier;
        Box::pin(ready(text))
    }
}

#[instrumented]
#[must_use]
async fn must_be_used() -> u8 {
    1
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(at_the_end(3, Id(1), String::new()).await.unwrap_or(0), 4);
    assert!(at_the_end(0, Id(1), String::new()).await.is_err());
    assert!(at_the_end(2, Id(1), String::new()).await.is_err());
    assert_eq!(early(0).await + assert_send(early(2)).await, 2);
    assert_eq!(assert_send(borrows("abc", "a")).await, "bc");
    assert_eq!(unpinned(1).await, 1);
    assert_eq!(*Box::into_pin(assert_send(not_unpin(&2))).await, 2);
    assert_eq!(opaque().await("abc"), 3);
    let memory = Memory(vec![7]);
    assert_eq!(assert_send(memory.get(0)).await, Some(&7));
    assert_eq!(memory.boxed(0).await, Some(&7));
    assert_eq!(must_be_used().await, 1);
    let service = Service { open: true };
    let made = assert_send(service.made((1, 'c'), String::new(), None));
    let (literal, text) = (service.literal(), service.text((service.open, "abc")));
    assert_eq!((made.await, literal.await, text.await), (1, 1, "abc"));
    assert_eq!(service.detached().await, 1);
}

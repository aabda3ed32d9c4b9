//! Every argument of tracing-attributes, in each of its forms.

#![deny(warnings)]

use redspan::compat::instrument;
// Not in the prelude of every edition.
#[allow(unused_imports)]
use std::future::Future;

const NAME: &str = "named";
const TARGET: &str = "somewhere";

#[derive(Clone, Debug)]
struct Order {
    id: u64,
}

#[instrument]
fn plain(_number: u8, _text: &str, _order: &Order) {}

#[instrument("first")]
fn named_first() {}

#[instrument(name = NAME, target = TARGET, level = "debug")]
fn by_constants() {}

#[instrument(level = tracing::Level::TRACE, skip(order), fields(order.id, order.id = order.id, shown = %order.id, debug = ?order))]
fn fields(order: Order) {
    let _ = order;
}

#[instrument(skip_all, fields("quoted name" = 1, later = tracing::field::Empty, called = twice(2)))]
fn more_fields(_unseen: std::cell::Cell<u8>) {
    tracing::Span::current().record("later", 3);
}

fn twice(n: u8) -> u8 {
    n * 2
}

#[instrument(parent = None, follows_from = [tracing::Span::none().id()])]
fn a_root() {}

#[instrument(target = "elsewhere", parent = tracing::Span::current())]
fn target_before_parent() {}

#[instrument(err, ret)]
fn answers(fails: bool) -> Result<u8, std::fmt::Error> {
    if fails { Err(std::fmt::Error) } else { Ok(1) }
}

#[instrument(err(Debug, level = "warn"), ret(Display, level = "info"))]
fn answers_loudly() -> Result<u8, std::fmt::Error> {
    Ok(1)
}

#[instrument(ret(Debug))]
async fn later(_n: u8) -> Vec<u8> {
    vec![1]
}

#[instrument]
fn nested((_a, [_b, _c]): (u8, [u8; 2]), Order { id: _id }: Order) {}

#[instrument]
fn generic<const N: usize, T: std::fmt::Debug>(_all: [T; N]) {}

struct Shop;

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shop")
    }
}

impl Shop {
    #[instrument]
    fn open(&mut self, _at: u8) -> &mut Self {
        self
    }

    #[instrument(skip(self))]
    async fn close(self) {}
}

#[instrument]
fn boxed(_n: u8) -> std::pin::Pin<Box<dyn Future<Output = u8> + Send>> {
    Box::pin(async move { 1 })
}

#[tokio::main]
async fn main() {
    plain(1, "a", &Order { id: 1 });
    named_first();
    by_constants();
    fields(Order { id: 2 });
    more_fields(std::cell::Cell::new(1));
    a_root();
    target_before_parent();
    assert!(answers(true).is_err());
    assert_eq!(answers_loudly(), Ok(1));
    assert_eq!(later(1).await, [1]);
    nested((1, [2, 3]), Order { id: 3 });
    generic([1, 2]);
    let mut shop = Shop;
    shop.open(8).open(9);
    shop.close().await;
    assert_eq!(boxed(1).await, 1);
    let counted = |name| redspan::catalog().any(|site| site.function() == name);
    assert!(counted("later") && counted("named_first"));
}

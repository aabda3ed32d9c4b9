//! A crate that does without the standard library, whose `::std` leads nowhere.
#![no_std]
#![deny(warnings)]

extern crate alloc;
// For `main` alone.
extern crate std as _;

use alloc::boxed::Box;
use core::future::{Future, ready};
use core::pin::Pin;
use redspan::instrumented;

#[instrumented(fields(id, shown = ?id), labels(id = capped(id, 3)))]
fn plain(id: u8) -> Result<u8, core::fmt::Error> {
    Ok(id)
}

#[instrumented]
fn pinned(id: u8) -> Pin<Box<dyn Future<Output = u8>>> {
    let made = ready(id);
    Box::pin(made)
}

#[instrumented]
fn boxed(id: u8) -> Box<dyn Future<Output = u8> + Unpin> {
    Box::new(ready(id))
}

#[redspan::compat::instrument(err, ret)]
async fn migrated(id: u8) -> Result<u8, core::fmt::Error> {
    plain(id)
}

#[derive(redspan::Metrics)]
struct Shop {
    orders: redspan::metrics::Counter<Placed>,
}

#[derive(redspan::metrics::Labels)]
struct Placed {
    by: Customer,
    #[label(cap = 3)]
    from: &'static str,
}

#[derive(redspan::Label)]
enum Customer {
    New,
}

fn main() {
    assert_eq!(plain(3), Ok(3));
    drop((pinned(1), boxed(1), migrated(1)));
    if let Ok(shop) = <Shop as redspan::metrics::Metrics>::register() {
        shop.orders.with(&Placed { by: Customer::New, from: "here" }).increment();
    }
}

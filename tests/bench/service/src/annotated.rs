//! The example shop as it stands: its very files.

#[path = "../../../../examples/shop/shop.rs"]
pub(crate) mod shop;
#[allow(dead_code, reason = "the example has more than is measured")]
#[path = "../../../../examples/shop/store.rs"]
pub(crate) mod store;
#[allow(dead_code, reason = "the example has more than is measured")]
#[path = "../../../../examples/shop/warehouse.rs"]
pub(crate) mod warehouse;

use crate::memory::{as_it_is, memory_store};
use crate::serve::{Given, Served};
use redspan::Metrics;
use shop::{Cents, Numbers, Order, Shop};
use std::sync::Arc;
use std::time::Duration;
use store::{Postgres, Store};
use warehouse::Reservations;

memory_store!([redspan::instrumented], as_it_is, as_it_is);

pub(crate) async fn serve(given: Given) -> anyhow::Result<Served> {
    let telemetry = redspan::builder().install()?;
    let telemetry = Arc::new(telemetry);
    let store: Arc<dyn Store> = match &given.database {
        Some(url) => Arc::new(Postgres::open(given.connections, url).await?),
        None => Arc::new(Memory::new()),
    };
    let reservations = Reservations { address: given.warehouse, client: reqwest::Client::new() };
    let numbers = Numbers::register()?;
    let shop = Shop { store, reservations, numbers, last: given.first_order.into() };
    let mut served = Served::new(shop::routes(Arc::new(shop)));
    let flushes = telemetry.clone();
    served.flush = Box::new(move || {
        flushes.flush(Duration::from_secs(20));
    });
    served.sampled = Box::new(move || telemetry.health().spans.sampled);
    Ok(served)
}

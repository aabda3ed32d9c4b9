//! The example shop as it was before anybody thought of telemetry: its files, with nothing of redspan.
//! `diff -u tests/bench/service/src/bare examples/shop` is what redspan adds; `tests/shop_diff.rs` holds it.

pub(crate) mod shop;
#[allow(dead_code, reason = "the example has more than is measured")]
pub(crate) mod store;
pub(crate) mod warehouse;

use crate::memory::{as_it_is, memory_store};
use crate::serve::{Given, Served};
use axum::Router;
use shop::{Cents, Order, Shop};
use std::sync::Arc;
use store::{Postgres, Store};
use warehouse::Reservations;

memory_store!([], as_it_is, as_it_is);

pub(crate) async fn serve(given: Given) -> anyhow::Result<Served> {
    given.log.install_plain();
    let store: Arc<dyn Store> = match &given.database {
        Some(url) => Arc::new(Postgres::open(given.connections, url).await?),
        None => Arc::new(Memory::new()),
    };
    let reservations = Reservations { address: given.warehouse, client: reqwest::Client::new() };
    let shop = Shop { store, reservations, last: given.first_order.into() };
    Ok(Served::new(shop::routes(Arc::new(shop))))
}

/// The second service, for everybody: it is not what is measured.
pub(crate) fn warehouse() -> Router {
    warehouse::routes()
}

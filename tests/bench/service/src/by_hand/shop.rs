//! The shop: what `examples/shop/shop.rs` and `warehouse.rs` have that a request meets.

use super::counted;
use super::http::{observed, send};
use crate::bare::shop::{Order, ShopError};
use crate::bare::store::Store;
use crate::bare::warehouse::Unavailable;
use crate::serve::Given;
use axum::extract::{Path, State};
use axum::{Json, Router, middleware, routing::post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

pub(super) struct Shop {
    store: Arc<dyn Store>,
    warehouse: SocketAddr,
    client: reqwest::Client,
    last: AtomicI64,
}

impl Shop {
    pub(super) fn new(store: Arc<dyn Store>, given: &Given) -> Self {
        let last = given.first_order.into();
        Shop { store, warehouse: given.warehouse, client: reqwest::Client::new(), last }
    }

    #[tracing::instrument(skip_all, err, fields(order.item = item))]
    async fn order(&self, item: String) -> Result<i64, ShopError> {
        let order = async {
            let order = Order { id: self.last.fetch_add(1, Relaxed), item };
            let price = self.store.price(&order.item).await?;
            self.reserve(&order).await?;
            self.store.save(&order, price).await?;
            metrics::histogram!("shop_revenue_eur").record(price as f64 / 100.0);
            tracing::info!(order.id = order.id, order.item = order.item, price, "ordered");
            Ok(order.id)
        };
        counted!("order", order.await)
    }

    #[tracing::instrument(skip_all, err)]
    async fn reserve(&self, order: &Order) -> Result<(), Unavailable> {
        let reserved = async {
            let Order { id, item } = order;
            let url = format!("http://{}/shelves/{item}?order={id}&broken=false", self.warehouse);
            let response = send(self.client.post(url), "/shelves/{item}").await?;
            match response.status() {
                status if status.is_success() => Ok(()),
                status => Err(Unavailable::Refused(status)),
            }
        };
        counted!("reserve", reserved.await)
    }
}

async fn order(
    State(shop): State<Arc<Shop>>,
    Path(item): Path<String>,
) -> Result<Json<i64>, ShopError> {
    metrics::gauge!("shop_open").increment(1.0);
    let ordered = shop.order(item).await;
    metrics::gauge!("shop_open").decrement(1.0);
    let end = if ordered.is_ok() { "paid" } else { "refused" };
    metrics::counter!("shop_orders_total", "end" => end).increment(1);
    ordered.map(Json)
}

pub(super) fn routes(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/orders/{item}", post(order))
        .with_state(shop)
        .layer(middleware::from_fn(observed))
}

//! The shop itself: one service struct, its errors, its numbers, its routes.

use super::store::Store;
use super::warehouse::{Reservations, Unavailable};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use redspan::metrics::{Counter, Histogram, UpDownCounter};
use redspan::{ErrorType, Label, Labels, Metrics, instrumented};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) type Cents = i64;

pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) item: String,
}

/// What goes wrong, in words that stay the same for dashboards and alerts.
#[derive(Debug, thiserror::Error, ErrorType)]
pub(crate) enum ShopError {
    #[error("there is no such thing")]
    #[error_type(client)]
    NotFound,
    #[error("the warehouse does not answer")]
    Warehouse(#[from] Unavailable),
    #[error("the database fails")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for ShopError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => ShopError::NotFound,
            error => ShopError::Database(error),
        }
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        let status = match self {
            ShopError::NotFound => StatusCode::NOT_FOUND,
            ShopError::Warehouse(_) => StatusCode::BAD_GATEWAY,
            ShopError::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}

#[derive(Clone, Copy, Label)]
pub(crate) enum End {
    Paid,
    Refused,
}

#[derive(Labels)]
pub(crate) struct Ended {
    end: End,
}

/// What the business wants to know.
#[derive(Metrics)]
#[metrics(prefix = "shop")]
pub(crate) struct Numbers {
    /// Orders that came to an end.
    #[metric(unit = "{order}")]
    orders: Counter<Ended>,
    /// What an order is worth.
    #[metric(unit = "EUR", buckets = [1, 2, 5, 10, 20, 50])]
    revenue: Histogram,
    /// Orders that are being worked on.
    open: UpDownCounter,
}

/// Trouble on request, to see what it looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fault {
    #[default]
    None,
    Slow,
    Pool,
    Warehouse,
    Panic,
}

#[derive(Default, Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    fault: Fault,
}

pub(crate) struct Shop {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reservations: Reservations,
    pub(crate) numbers: Numbers,
    pub(crate) last: AtomicI64,
}

#[instrumented]
impl Shop {
    #[instrumented(fields(order.item = item), slo(latency = "250ms", target = 99.0))]
    async fn order(&self, item: String, fault: Fault) -> Result<i64, ShopError> {
        let order = Order { id: self.last.fetch_add(1, Relaxed), item };
        let price = self.store.price(&order.item).await?;
        self.trouble(fault).await?;
        self.reservations.reserve(&order, matches!(fault, Fault::Warehouse)).await?;
        self.store.save(&order, price).await?;
        self.numbers.revenue.record(price as f64 / 100.0);
        tracing::info!(order.id = order.id, order.item = order.item, price, "ordered");
        Ok(order.id)
    }

    #[instrumented(fields(order.id = id))]
    async fn take_back(&self, id: i64) -> Result<Cents, ShopError> {
        Ok(self.store.take_back(id).await?)
    }

    /// What the load generator asks for.
    #[instrumented(off)]
    async fn trouble(&self, fault: Fault) -> Result<(), ShopError> {
        match fault {
            Fault::Slow => self.store.report().await?,
            Fault::Pool => {
                let store = self.store.clone();
                tokio::spawn(async move { store.exhaust().await });
                // Until it has them all.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Fault::Panic => panic!("somebody wished for it"),
            Fault::None | Fault::Warehouse => {}
        }
        Ok(())
    }
}

async fn order(
    State(shop): State<Arc<Shop>>,
    Path(item): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Json<i64>, ShopError> {
    shop.numbers.open.increment();
    let ordered = shop.order(item, wish.fault).await;
    shop.numbers.open.decrement();
    let end = if ordered.is_ok() { End::Paid } else { End::Refused };
    shop.numbers.orders.with(&Ended { end }).increment();
    ordered.map(Json)
}

async fn take_back(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<i64>,
) -> Result<Json<Cents>, ShopError> {
    shop.take_back(id).await.map(Json)
}

pub(crate) fn routes(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/orders/{item}", post(order))
        .route("/returns/{id}", post(take_back))
        .with_state(shop)
        .layer(redspan::axum::layer().request_id())
}

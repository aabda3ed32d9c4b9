//! The second service: it keeps what the shop sells, behind a real socket.

use super::shop::Order;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::{Router, routing::post};
use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("it answers {0}")]
    Refused(StatusCode),
    #[error("it cannot be reached")]
    Unreachable(#[from] reqwest::Error),
}

/// The shop's side of it.
pub(crate) struct Reservations {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
}

impl Reservations {
    pub(crate) async fn reserve(&self, order: &Order, broken: bool) -> Result<(), Unavailable> {
        let Order { id, item } = order;
        let url = format!("http://{}/shelves/{item}?order={id}&broken={broken}", self.address);
        let response = self.client.post(url).send().await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(Unavailable::Refused(status)),
        }
    }
}

#[derive(Deserialize)]
struct Taken {
    order: i64,
    broken: bool,
}

fn take(order: i64, broken: bool) -> Result<StatusCode, StatusCode> {
    tracing::debug!(order.id = order, "asked for");
    if broken { Err(StatusCode::INTERNAL_SERVER_ERROR) } else { Ok(StatusCode::NO_CONTENT) }
}

async fn shelves(Query(taken): Query<Taken>) -> Result<StatusCode, StatusCode> {
    take(taken.order, taken.broken)
}

pub(crate) fn routes() -> Router {
    Router::new().route("/shelves/{item}", post(shelves))
}

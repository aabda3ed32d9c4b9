//! Requests with their ids, on the lines of their handlers too: `cargo run --example log_requests`.

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use std::error::Error;
use tokio::net::TcpListener;

async fn order(Path(id): Path<u32>) -> Result<String, StatusCode> {
    tracing::info!(order_id = id, "looking it up");
    if id == 17 { Ok(format!("order {id}")) } else { Err(StatusCode::BAD_GATEWAY) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _telemetry = redspan::init!()?;
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(redspan::axum::layer().request_id().log());
    let shop = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", shop.local_addr()?);
    tokio::spawn(async move { axum::serve(shop, app).await });
    for id in [17, 18] {
        let request = reqwest::Client::new().get(format!("{url}/{id}"));
        request.header("x-request-id", format!("r-{id}")).send().await?.text().await?;
    }
    Ok(())
}

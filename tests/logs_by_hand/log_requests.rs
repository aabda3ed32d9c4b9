// Requests with their ids, on the lines of their handlers too.

use axum::extract::{MatchedPath, Path, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Router, routing::get};
use std::error::Error;
use std::io::IsTerminal;
use std::time::Instant;
use tokio::net::TcpListener;
use tracing::Instrument;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn id_of(request: &Request) -> String {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    sent.filter(plain).map_or_else(|| format!("{:016x}", rand()), str::to_owned)
}

fn rand() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

async fn log_request(mut request: Request, next: Next) -> Response {
    let id = id_of(&request);
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""));
    request.headers_mut().insert(REQUEST_ID, header.clone());
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|it| it.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = id);
    async move {
        let start = Instant::now();
        tracing::debug!(
            http.request.method = method,
            http.route = route,
            url.path = path,
            "request started"
        );
        let mut response = next.run(request).await;
        response.headers_mut().entry(REQUEST_ID).or_insert(header);
        let status = response.status().as_u16();
        let failed = response.status().is_server_error();
        let duration_ms = start.elapsed().as_secs_f64() * 1e3;
        macro_rules! say {
            ($level:ident, $outcome:literal) => {
                tracing::$level!(
                    http.request.method = method,
                    http.route = route,
                    url.path = path,
                    http.response.status_code = status,
                    duration_ms,
                    outcome = $outcome,
                    error.r#type = failed.then(|| status.to_string()),
                    "request completed"
                )
            };
        }
        match failed {
            true => say!(error, "error"),
            false => say!(info, "ok"),
        }
        response
    }
    .instrument(span)
    .await
}

async fn order(Path(id): Path<u32>) -> Result<String, StatusCode> {
    tracing::info!(order_id = id, "looking it up");
    if id == 17 { Ok(format!("order {id}")) } else { Err(StatusCode::BAD_GATEWAY) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let lines = registry().with(filter);
    if std::io::stdout().is_terminal() {
        lines.with(fmt::layer()).init();
    } else {
        lines.with(fmt::layer().json().flatten_event(true).with_span_list(false)).init();
    }
    let app = Router::new().route("/orders/{id}", get(order)).layer(from_fn(log_request));
    let shop = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", shop.local_addr()?);
    tokio::spawn(async move { axum::serve(shop, app).await });
    for id in [17, 18] {
        let request = reqwest::Client::new().get(format!("{url}/{id}"));
        request.header("x-request-id", format!("r-{id}")).send().await?.text().await?;
    }
    Ok(())
}

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt;
use redspan::axum::Matched;
use redspan::testing::{Seen, SeenSpan};
use redspan::tower::ServerLayer;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves `app` behind `layer` on a free port. The server's tasks run in the current testing scope: what axum
/// spawns would be outside.
pub async fn serve_in_scope(app: Router, layer: ServerLayer<Matched>) -> SocketAddr {
    let scope = Context::current();
    let in_scope =
        from_fn(move |request: Request, next: Next| next.run(request).with_context(scope.clone()));
    let app = app.layer(layer).layer(in_scope);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Everybody can know who asks; only what is told to shows it.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Waits for so many spans: what serves a request may end its own after the client has the end of its answer.
///
/// # Panics
/// If there are not so many after five seconds, or more.
pub async fn wait_for(seen: &Seen, count: usize) -> Vec<SeenSpan> {
    for _ in 0..500 {
        if seen.spans().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen.spans().len(), count, "{seen:?}");
    seen.spans()
}

//! The public test-suite of W3C Trace Context against a service that calls back, at level 2 in strict
//! mode. The suite stays where it is: <https://github.com/w3c/trace-context>, folder `test`.
//!
//! ```sh
//! git clone https://github.com/w3c/trace-context /tmp/trace-context
//! python3 -m venv /tmp/venv && /tmp/venv/bin/pip install aiohttp
//! W3C_TRACE_CONTEXT=/tmp/trace-context/test PYTHON=/tmp/venv/bin/python3 \
//!     cargo test -p redspan-tests --test w3c_trace_context -- --ignored --nocapture
//! ```

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use redspan::reqwest::SendTraced;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

/// Does what it is told: `[{"url": …, "arguments": […]}, …]`, each a request to make.
async fn obey(body: String) -> StatusCode {
    let Ok(Value::Array(asked)) = serde_json::from_str(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let client = reqwest::Client::new();
    for one in asked {
        let url = one["url"].as_str().unwrap_or_default();
        let request = client.post(url).header("content-type", "application/json");
        if request.body(one["arguments"].to_string()).send_traced().await.is_err() {
            return StatusCode::BAD_GATEWAY;
        }
    }
    StatusCode::OK
}

/// Listens, and answers with its address.
async fn service() -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/test", post(obey)).layer(redspan::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/test")
}

// No registry has the suite: `propagation.rs` holds the same rules where it is not at hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the public suite: this file says how to get it"]
async fn every_case_of_the_public_suite_passes() {
    let suite = std::env::var("W3C_TRACE_CONTEXT").expect("the suite's folder; this file says how");
    // The defaults of a service that exports: tracecontext and baggage, parentbased_always_on.
    let sink = redspan::export::ConsoleSink::to(std::io::sink());
    let _telemetry = redspan::builder().spans_to(sink).install().unwrap();
    let service = service().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let run = move || {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| String::from("python3"));
        Command::new(python)
            .args(["test.py", &service])
            .current_dir(suite)
            .env("SPEC_LEVEL", "2")
            .env("STRICT_LEVEL", "2")
            .env("HARNESS_PORT", free.to_string())
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().expect("python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    print!("{}{said}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && said.trim_end().ends_with("OK"), "{said}");
}

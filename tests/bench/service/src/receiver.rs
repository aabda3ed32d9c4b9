//! The OTLP receiver, in a process of its own: it takes and reads what it is sent, and counts the spans of
//! each service.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::{Router, routing::post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

type Counts = Arc<Mutex<HashMap<String, u64>>>;

async fn traces(State(counts): State<Counts>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut counts = counts.lock().expect("no panic");
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let name = attributes.into_iter().find(|pair| pair.key == "service.name");
        let name = name.and_then(|pair| pair.value?.value);
        let Some(Value::StringValue(name)) = name else { return StatusCode::BAD_REQUEST };
        let spans: usize = of_resource.scope_spans.iter().map(|scope| scope.spans.len()).sum();
        *counts.entry(name).or_default() += spans as u64;
    }
    StatusCode::OK
}

/// Serves the routes that `make` gives, and answers questions about them.
pub(crate) fn beside(
    control: &str,
    routes: Router,
    answer: impl Fn(&str) -> String,
) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        anyhow::Ok(address)
    })?;
    let mut says = TcpStream::connect(control.parse::<SocketAddr>()?)?;
    let asks = BufReader::new(says.try_clone()?);
    writeln!(says, "{address}")?;
    for line in asks.lines() {
        match &*line? {
            "end" => break,
            question => writeln!(says, "{}", answer(question))?,
        }
    }
    runtime.shutdown_background();
    Ok(())
}

pub(crate) fn run(control: &str) -> anyhow::Result<()> {
    let counts = Counts::default();
    let routes = Router::new()
        .route("/v1/traces", post(traces))
        .layer(DefaultBodyLimit::disable())
        .with_state(counts.clone());
    beside(control, routes, |service| {
        counts.lock().expect("no panic").get(service).copied().unwrap_or_default().to_string()
    })
}

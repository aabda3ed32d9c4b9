//! The same service with tracing, tracing-opentelemetry and the macros of `metrics`, by hand: what the
//! example's annotations do, as far as these can.

mod http;
mod shop;
mod store;

use crate::bare::shop::{Cents, Order};
use crate::bare::store::Store;
use crate::memory::memory_store;
use crate::serve::{Given, Log, Served};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, global};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Rate, errors, duration and calls in flight of a function.
pub(super) struct Call {
    function: &'static str,
    started: Instant,
}

impl Call {
    pub(super) fn begin(function: &'static str) -> Self {
        metrics::gauge!("function_calls_concurrent", "function" => function).increment(1.0);
        Call { function, started: Instant::now() }
    }

    pub(super) fn end<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        let function = self.function;
        let outcome = if result.is_ok() { "ok" } else { "error" };
        let took = self.started.elapsed().as_secs_f64();
        metrics::gauge!("function_calls_concurrent", "function" => function).decrement(1.0);
        metrics::counter!("function_calls_total", "function" => function, "result" => outcome)
            .increment(1);
        metrics::histogram!("function_calls_duration_seconds", "function" => function).record(took);
        result
    }
}

macro_rules! counted {
    ($name:literal, $body:expr) => {{
        let call = crate::by_hand::Call::begin($name);
        call.end($body)
    }};
}
pub(super) use counted;

memory_store!([tracing::instrument(skip_all)], counted, counted);

/// Counts what was sampled, for the table.
#[derive(Clone, Debug, Default)]
struct Sampled(Arc<AtomicU64>);

impl SpanProcessor for Sampled {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        self.0.fetch_add(1, Relaxed);
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

pub(crate) async fn serve(given: Given) -> anyhow::Result<Served> {
    let sampled = Sampled::default();
    let counts = sampled.clone();
    // Its client blocks, and refuses to be made where that is forbidden.
    let provider = tokio::task::spawn_blocking(move || {
        // The endpoint, the sampler, the name and the sizes are the environment's.
        let exporter = SpanExporter::builder().with_http().build()?;
        let provider = SdkTracerProvider::builder().with_span_processor(counts);
        anyhow::Ok(provider.with_batch_exporter(exporter).build())
    });
    let provider = provider.await??;
    global::set_text_map_propagator(TraceContextPropagator::new());
    // Without the threads, which redspan's spans do not show either.
    let spans = tracing_opentelemetry::layer().with_threads(false).with_tracked_inactivity(false);
    let spans = spans.with_tracer(provider.tracer("shop")).with_filter(LevelFilter::INFO);
    let lines = (given.log == Log::Lines).then(|| tracing_subscriber::fmt::layer().json());
    let lines = lines.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(spans).with(lines).init();
    let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let numbers = metrics_exporter_prometheus::PrometheusBuilder::new().set_buckets(&bounds)?;
    numbers.install_recorder()?;

    let store: Arc<dyn Store> = match &given.database {
        Some(url) => Arc::new(store::Postgres::open(given.connections, url).await?),
        None => Arc::new(Memory::new()),
    };
    let shop = shop::Shop::new(store, &given);
    let mut served = Served::new(shop::routes(Arc::new(shop)));
    served.flush = Box::new(move || {
        // What it says when it has lost some: the table sees it.
        let _ = provider.force_flush();
    });
    served.sampled = Box::new(move || sampled.0.load(Relaxed));
    Ok(served)
}

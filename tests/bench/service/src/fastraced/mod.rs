//! The same service with fastrace and its OpenTelemetry reporter: spans with the same attributes, no numbers.

mod http;
mod shop;
mod store;

use crate::bare::shop::{Cents, Order};
use crate::bare::store::Store;
use crate::memory::{as_it_is, memory_store};
use crate::serve::{Given, Served};
use fastrace::collector::Config;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

memory_store!([fastrace::trace], as_it_is, as_it_is);

/// Requests that were sampled: each has ten spans.
static SAMPLED: AtomicU64 = AtomicU64::new(0);

const SPANS: u64 = 10;

pub(crate) async fn serve(given: Given) -> anyhow::Result<Served> {
    given.log.install_plain();
    let name = given.name.clone();
    // Its client blocks, and refuses to be made where that is forbidden.
    let exporter = tokio::task::spawn_blocking(|| SpanExporter::builder().with_http().build());
    let resource = Resource::builder().with_attribute(KeyValue::new("service.name", name)).build();
    let scope = InstrumentationScope::builder("shop").build();
    let reporter = OpenTelemetryReporter::new(exporter.await??, Cow::Owned(resource), scope);
    fastrace::set_reporter(reporter, Config::default());
    http::sample(given.ratio);

    let store: Arc<dyn Store> = match &given.database {
        Some(url) => Arc::new(store::Postgres::open(given.connections, url).await?),
        None => Arc::new(Memory::new()),
    };
    let shop = shop::Shop::new(store, &given);
    let mut served = Served::new(shop::routes(Arc::new(shop)));
    served.flush = Box::new(fastrace::flush);
    served.sampled = Box::new(|| SAMPLED.load(Relaxed) * SPANS);
    Ok(served)
}

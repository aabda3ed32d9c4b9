//! redspan's recorder beside the application's own tracer provider: an exemplar names a span that its
//! exporter has taken, and none before.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use redspan::{compat, instrumented};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tracing_subscriber::layer::SubscriberExt;

#[instrumented]
fn charge(cents: u64) -> Result<u64, std::fmt::Error> {
    metrics::histogram!("basket_cents").record(cents as f64);
    metrics::counter!("charges").increment(1);
    if cents == 0 { Err(std::fmt::Error) } else { Ok(cents) }
}

#[compat::instrument]
async fn order(cents: u64) -> Result<u64, std::fmt::Error> {
    tokio::task::yield_now().await;
    charge(cents)
}

/// Takes what it is given while it is told to.
#[derive(Clone, Debug)]
struct Exporter {
    taken: InMemorySpanExporter,
    works: Arc<AtomicBool>,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match self.works.load(Relaxed) {
            true => self.taken.export(batch).await,
            false => Err(OTelSdkError::InternalFailure("told to".into())),
        }
    }
}

/// The exemplars of a page: family and span id.
fn exemplars() -> BTreeSet<(String, String)> {
    let page = redspan::recorder().render_openmetrics();
    let shown = page.lines().filter_map(|line| {
        let (series, exemplar) = line.split_once(" # ")?;
        let family = series.split('{').next()?.split(' ').next()?;
        let span = exemplar.split("span_id=\"").nth(1)?.split('"').next()?;
        Some((family.to_owned(), span.to_owned()))
    });
    shown.collect()
}

#[test]
fn exemplars_name_what_the_applications_exporter_has_taken() {
    metrics::set_global_recorder(redspan::recorder()).unwrap();
    let exporter = Exporter { taken: InMemorySpanExporter::default(), works: Arc::default() };
    let run = |sampler: Sampler, cents: &[u64]| {
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_batch_exporter(redspan::export::with_exemplars(exporter.clone()))
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
        let subscriber = tracing_subscriber::registry().with(layer);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for &cents in cents {
                let _ = runtime.block_on(order(cents));
            }
        });
        // They wait for the exporter.
        assert_eq!(exemplars(), BTreeSet::new());
        let _ = provider.force_flush();
    };
    // Not taken, and never sampled.
    run(Sampler::AlwaysOn, &[1, 0]);
    assert_eq!(exemplars(), BTreeSet::new());
    exporter.works.store(true, Relaxed);
    run(Sampler::AlwaysOff, &[1, 0]);
    assert_eq!(exemplars(), BTreeSet::new());

    run(Sampler::AlwaysOn, &[7, 0]);
    let spans = exporter.taken.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 4);
    let shown = exemplars();
    let ids = |name: &str| -> BTreeSet<String> {
        let named = spans.iter().filter(|span| span.name == name);
        named.map(|span| span.span_context.span_id().to_string()).collect()
    };
    let of = |family: &str| -> BTreeSet<String> {
        let of_family = shown.iter().filter(|(other, _)| other == family);
        of_family.map(|(_, span)| span.clone()).collect()
    };
    let (charges, orders) = (ids("charge"), ids("order"));
    assert!(charges.len() == 2 && orders.len() == 2);
    // The values belong to the spans they were recorded in; the calls are both functions'.
    assert!(of("basket_cents_bucket").is_subset(&charges) && !of("basket_cents_bucket").is_empty());
    assert!(of("charges_total").is_subset(&charges) && !of("charges_total").is_empty());
    let calls = of("function_calls_total");
    assert_eq!(calls, &charges | &orders, "{shown:?}");
    // All calls were counted, whether recorded or not.
    let page = redspan::recorder().render_openmetrics();
    let of_errors = page.lines().filter(|line| {
        line.starts_with("function_calls_total{")
            && line.contains("function=\"order\"")
            && line.contains("outcome=\"error\"")
    });
    let counts = of_errors.filter_map(|line| line.split("} ").nth(1)?.split(' ').next());
    assert_eq!(counts.map(|count| count.parse::<u64>().unwrap()).sum::<u64>(), 3, "{page}");
}

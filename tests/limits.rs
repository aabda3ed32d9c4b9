//! What one span may hold: enforced, counted on the span, and counted in all.

use opentelemetry::trace::{SpanId, TraceFlags, TraceState};
use redspan::{KeyValue, SpanContext, instrumented, testing};
use redspan_tests::Kept;
use redspan_tests::page;
use redspan_tests::process::alone;
use std::time::Duration;

fn elsewhere(number: u64) -> SpanContext {
    let (trace, span) = (u128::from(number).into(), SpanId::from(number));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE)
}

fn pairs(many: usize) -> impl Iterator<Item = KeyValue> {
    (0..many).map(|number| KeyValue::new(format!("key.{number}"), "a long value"))
}

/// Takes everything a hundred times and more.
#[instrumented(fields(argument = "a long value"))]
fn greedy() {
    let span = redspan::current_span();
    for number in 1..=200_u32 {
        span.set_attribute(format!("attribute.{number}"), "öäü-long")
            .add_event(format!("event.{number}"), pairs(150))
            .add_link(elsewhere(number.into()), pairs(140));
    }
    // Replacing finds room where adding does not.
    span.set_attribute("argument", "short");
}

#[test]
fn a_span_holds_128_of_each_and_says_how_many_it_dropped() {
    let ((), seen) = testing::scope(greedy);
    let span = seen.span("greedy");
    let data = span.data();
    // Those of the place in the code come on top: they cost the caller nothing.
    let own = |pair: &&KeyValue| !pair.key.as_str().starts_with("code.");
    assert_eq!(data.attributes.iter().filter(own).count(), 128);
    assert_eq!(data.dropped_attributes_count, 73);
    assert_eq!(span.attribute("argument"), Some("short".into()));
    assert_eq!((data.events.len(), data.events.dropped_count), (128, 72));
    assert_eq!((data.links.len(), data.links.dropped_count), (128, 72));
    for event in data.events.iter() {
        assert_eq!((event.attributes.len(), event.dropped_attributes_count), (128, 22));
    }
    for link in data.links.iter() {
        assert_eq!((link.attributes.len(), link.dropped_attributes_count), (128, 12));
    }
}

#[test]
fn links_and_attributes_of_the_start_count_too() {
    let ((), seen) = testing::scope(|| {
        let mut span = redspan::span("batch");
        for number in 1..=200_u32 {
            span = span.link(elsewhere(number.into())).attribute(format!("key.{number}"), 1);
        }
        span.in_scope(|_| ());
    });
    let data = seen.span("batch").data().clone();
    assert_eq!((data.attributes.len(), data.dropped_attributes_count), (128, 72));
    assert_eq!((data.links.len(), data.links.dropped_count), (128, 72));
}

#[test]
fn the_environment_sets_the_limits_and_the_totals_are_told() {
    let limits = [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "9"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "8"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "6"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5"),
    ];
    let limits = limits.map(|(name, value)| (name, value.to_owned()));
    alone("the_environment_sets_the_limits_and_the_totals_are_told", &limits, || {
        let kept = Kept::default();
        let telemetry = redspan::builder()
            .spans_to(kept.clone())
            .metrics_at(([127, 0, 0, 1], 0).into())
            .install()
            .unwrap();
        greedy();
        assert!(telemetry.flush(Duration::from_secs(10)));
        let spans = kept.0.lock().unwrap().clone();
        let [span] = &spans[..] else { panic!("{spans:?}") };
        let value = |key: &str| {
            let mut pairs = span.attributes.iter();
            pairs.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
        };
        assert_eq!((span.attributes.len(), span.dropped_attributes_count), (10 + 3, 191));
        assert_eq!(value("attribute.1").as_deref(), Some("öäü-l"), "characters, not bytes");
        assert_eq!(value("argument").as_deref(), Some("short"));
        assert_eq!((span.events.len(), span.events.dropped_count), (9, 191));
        assert_eq!((span.links.len(), span.links.dropped_count), (8, 192));
        let event = &span.events[0];
        assert_eq!((event.attributes.len(), event.dropped_attributes_count), (7, 143));
        assert_eq!(event.attributes[0].value.to_string(), "a lon");
        let link = &span.links[0];
        assert_eq!((link.attributes.len(), link.dropped_attributes_count), (6, 134));
        assert_eq!(link.attributes[0].value.to_string(), "a lon");

        let totals = telemetry.spans().over_limits;
        assert_eq!(totals["attribute"], 191 + 9 * 143 + 8 * 134);
        assert_eq!((totals["event"], totals["link"]), (191, 192));
        assert_eq!(totals["value_cut"], 1 + 9 + 9 * 7 + 8 * 6);
        let address = telemetry.metrics_address().unwrap();
        let page = page::get(address, "/metrics", Duration::from_secs(10)).unwrap();
        assert!(page.contains("redspan_span_over_limits_total{what=\"event\"} 191"), "{page}");
    });
}

//! What the options of `#[instrumented]` do, seen from a testing scope.

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use redspan::testing::{Seen, scope, scope_async};
use redspan::{Label, instrumented};
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Label)]
enum Tier {
    Free,
    Paid,
}

struct Order {
    tier: Tier,
    tenant: &'static str,
}

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("card 4111 declined")
    }
}

impl std::error::Error for Declined {}

fn calls(seen: &Seen, function: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let function = [("function", function)];
    let labels: Vec<_> = function.iter().chain(labels).copied().collect();
    seen.counter("function_calls_total", &labels)
}

#[instrumented(labels(tier = order.tier, vip, region = "eu", zone = const { ZONE }))]
fn place(order: &Order, vip: bool) -> Result<(), Declined> {
    if matches!(order.tier, Tier::Free) { Err(Declined) } else { Ok(()) }
}

const ZONE: &str = "eu-1";

#[test]
fn labels_of_closed_sets_tell_calls_apart() {
    let (_, seen) = scope(|| {
        let order = |tier| Order { tier, tenant: "" };
        let _ = place(&order(Tier::Free), false);
        let _ = place(&order(Tier::Paid), true);
        let _ = place(&order(Tier::Paid), true);
    });
    let paid = [("tier", "paid"), ("vip", "true"), ("region", "eu"), ("zone", "eu-1")];
    assert_eq!(calls(&seen, "place", &[&paid[..], &[("outcome", "ok")]].concat()), Some(2));
    let free = [("tier", "free"), ("vip", "false"), ("outcome", "error")];
    assert_eq!(calls(&seen, "place", &free), Some(1));
    // Before it is seen, so that a rate finds its start.
    assert_eq!(calls(&seen, "place", &[("tier", "free"), ("vip", "true")]), Some(0));
    assert_eq!(seen.calls("place").started, 3, "all label sets together");
    let durations = seen.histogram("function_calls_duration_seconds", &paid);
    assert_eq!(durations.map(|durations| durations.count), Some(2));
    assert_eq!(seen.gauge("function_calls_concurrent", &paid), Some(0.0));
}

#[test]
fn exemplars_stand_at_their_label_set() {
    let (_, seen) = scope(|| {
        let _ = place(&Order { tier: Tier::Paid, tenant: "" }, true);
    });
    let span = seen.span("place");
    let of = |tier| {
        let labels = [("function", "place"), ("tier", tier), ("outcome", "ok"), ("vip", "true")];
        seen.exemplars("function_calls_total", &labels)
    };
    assert_eq!(of("paid").iter().map(|one| one.span_id).collect::<Vec<_>>(), [span.span_id()]);
    assert!(of("free").is_empty());
}

#[instrumented(labels(tenant = capped(order.tenant, 2)))]
async fn ship(order: &Order) {
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn over_its_cap_a_label_says_overflow() {
    let (_, seen) = scope_async(async {
        for tenant in ["a", "b", "c", "a", "d"] {
            ship(&Order { tier: Tier::Free, tenant }).await;
        }
    })
    .await;
    let ok = |tenant| calls(&seen, "ship", &[("tenant", tenant), ("outcome", "ok")]);
    assert_eq!([ok("a"), ok("b"), ok("c"), ok("__overflow__")], [Some(2), Some(1), None, Some(2)]);
}

#[derive(Debug, Label)]
enum Found {
    Hit,
    Miss,
}

#[instrumented(
    labels(
        tier,
        found = |result| result.as_ref().ok().map(|n| if *n > 1 { Found::Hit } else { Found::Miss }),
        text = capped(|result| format!("{result:?}"), 10),
    )
)]
fn look_up(tier: Tier, n: u8) -> Result<u8, Declined> {
    assert!(n != 9, "asked to");
    if n == 0 { Err(Declined) } else { Ok(n) }
}

#[test]
fn labels_may_come_from_the_returned_value() {
    let (_, seen) = scope(|| {
        let _ = look_up(Tier::Paid, 2);
        let _ = look_up(Tier::Paid, 0);
        let _ = std::panic::catch_unwind(|| look_up(Tier::Free, 9));
    });
    let of = |labels: &[_]| calls(&seen, "look_up", labels);
    assert_eq!(of(&[("found", "hit"), ("text", "Ok(2)"), ("outcome", "ok")]), Some(1));
    assert_eq!(of(&[("found", "none"), ("tier", "paid"), ("outcome", "error")]), Some(1));
    // What unwound has returned nothing.
    assert_eq!(of(&[("tier", "free"), ("outcome", "panic")]), Some(1));
    let calls = seen.calls("look_up");
    assert_eq!((calls.started, calls.ok + calls.error + calls.panic, calls.in_flight), (3, 3, 0));
    for tier in ["free", "paid"] {
        assert_eq!(seen.gauge("function_calls_concurrent", &[("tier", tier)]), Some(0.0));
    }
}

#[instrumented(
    slo(name = "checkout", success, target = 99.95),
    slo(latency = "300ms", target = 99.0)
)]
fn checkout() {}

#[test]
fn objectives_are_labels_and_the_threshold_is_a_bucket() {
    let ((), seen) = scope(checkout);
    let success = [("objective_name", "checkout"), ("objective_percentile", "99.95")];
    let ok = [&success[..], &[("outcome", "ok")]].concat();
    assert_eq!(calls(&seen, "checkout", &ok), Some(1));
    let latency = [
        ("function", "checkout"),
        ("objective_name", "checkout"),
        ("objective_percentile", "99"),
        ("objective_latency_threshold", "0.3"),
    ];
    let seen = seen.histogram("function_calls_duration_seconds", &latency);
    assert_eq!(seen.map(|seen| seen.count), Some(1));
    let site = redspan::catalog().find(|site| site.function() == "checkout").unwrap();
    let slo = site.slo().unwrap();
    assert_eq!((slo.name(), slo.threshold()), ("checkout", Some(Duration::from_millis(300))));
    assert_eq!((slo.success_target(), slo.latency_target()), (Some("99.95"), Some("99")));
    // Outside of every scope, where the page shows the process.
    checkout();
    let page = redspan::recorder().render_openmetrics();
    let bucket = page.lines().find(|line| {
        line.starts_with("function_calls_duration_seconds_bucket{function=\"checkout\"")
            && line.contains("le=\"0.3\"")
    });
    assert!(
        bucket.is_some_and(|line| line.contains("objective_latency_threshold=\"0.3\"")),
        "{page}"
    );
}

#[instrumented(root, links(far, &[None, Some(far.clone())]))]
fn begin_anew(far: &SpanContext) {}

#[instrumented]
fn around(far: &SpanContext) {
    begin_anew(far);
}

#[test]
fn a_root_begins_a_trace_linked_to_where_it_was_called_and_to_what_is_named() {
    let (trace, span) = (TraceId::from(7), SpanId::from(7));
    let far = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
    let ((), seen) = scope(|| around(&far));
    let (root, caller) = (seen.span("begin_anew"), seen.span("around"));
    assert_eq!(root.parent_id(), None);
    assert_ne!(root.trace_id(), caller.trace_id());
    let links = root.data().links.links.iter().map(|link| link.span_context.span_id());
    assert_eq!(links.collect::<Vec<_>>(), [span, span, caller.span_id()]);
}

#[instrumented(busy)]
async fn busy() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[instrumented(busy)]
fn busy_boxed() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(busy())
}

#[tokio::test]
async fn busy_tells_the_polls_and_their_time() {
    let ((), seen) = scope_async(busy_boxed()).await;
    for name in ["busy", "busy_boxed"] {
        let span = seen.span(name);
        let number = |key| match span.attribute(key) {
            Some(opentelemetry::Value::I64(number)) => number,
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(number("redspan.polls"), 5, "{name}");
        assert!(number("idle_ns") >= 20_000_000 && number("busy_ns") > 0, "{name}");
    }
}

#[instrumented(err = "type", log)]
fn quiet() -> Result<(), Declined> {
    Err(Declined)
}

#[instrumented(log = "debug", fields(n))]
async fn told(n: u8) -> Result<u8, Declined> {
    if n == 0 { Err(Declined) } else { Ok(n) }
}

#[test]
fn an_errors_text_stays_off_the_span_and_the_line_where_the_type_is_enough() {
    let (_, seen) = scope(quiet);
    let span = seen.span("quiet");
    assert_eq!(*span.status(), Status::error(""));
    assert!(span.attribute("error.type").is_some());
    assert!(span.events().iter().all(|event| event.name != "exception"));
    let line = seen.log("quiet: error");
    assert!(!format!("{line:?}").contains("4111"), "{line:?}");
}

#[tokio::test]
async fn a_line_says_how_a_call_ended_within_its_span() {
    let (_, seen) = scope_async(async {
        let _ = told(0).await;
    })
    .await;
    let line = seen.log("told: error");
    let span = seen.span("told");
    assert_eq!(line.span_id, Some(span.span_id()));
    assert!(span.events().iter().all(|event| event.name == "exception"), "the span says it itself");
    let text = format!("{line:?}");
    for part in ["duration_ms", "card 4111 declined", "outcome", "error.type"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[instrumented(metrics = false)]
fn uncounted() {}

#[instrumented(span = false, labels(tier))]
fn spanless(tier: Tier) {
    uncounted();
}

#[test]
fn either_half_can_be_left_out() {
    let ((), seen) = scope(|| spanless(Tier::Paid));
    assert_eq!(seen.tree(), "uncounted\n");
    assert_eq!(calls(&seen, "spanless", &[("tier", "paid"), ("outcome", "ok")]), Some(1));
    assert_eq!(calls(&seen, "uncounted", &[]), None);
    assert_eq!(seen.calls("uncounted").started, 0);
}

#[instrumented(none = "error")]
fn find(n: u8) -> Option<u8> {
    n.checked_sub(1)
}

#[instrumented(none = "error")]
fn find_or_fail(n: u8) -> Result<Option<u8>, Declined> {
    if n == 9 { Err(Declined) } else { Ok(n.checked_sub(1)) }
}

#[test]
fn a_missing_value_is_an_error_where_asked_for() {
    let (_, seen) = scope(|| {
        (find(0), find(1), find_or_fail(0).is_err(), find_or_fail(9).is_err(), find_or_fail(1))
            .0
            .is_none()
    });
    assert_eq!((seen.calls("find").error, seen.calls("find").ok), (1, 1));
    let calls = seen.calls("find_or_fail");
    assert_eq!((calls.error, calls.ok), (2, 1));
    let types: Vec<_> = seen
        .spans_named("find_or_fail")
        .iter()
        .filter_map(|span| span.attribute("error.type"))
        .map(|kind| kind.to_string())
        .collect();
    assert_eq!(types.len(), 2);
    assert_eq!(types[0], "none");
}

fn shown<T: Label>(value: T) -> T {
    value
}

#[instrumented(labels(which = shown(which)))]
fn generic<T: Label + Copy>(which: T) {}

#[test]
fn a_generic_function_has_the_values_of_its_first_type_and_overflow() {
    let ((), seen) = scope(|| {
        generic(Tier::Paid);
        generic(true);
    });
    let of = |which| calls(&seen, "generic", &[("which", which), ("outcome", "ok")]);
    assert_eq!([of("paid"), of("true"), of("__overflow__")], [Some(1), None, Some(1)]);
}

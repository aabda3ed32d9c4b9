//! The sampler of a running process: what it decided is told, and it changes without a restart.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use redspan::instrumented;
use redspan::sample::{self, AlwaysOff, AlwaysOn, Decision, Sampling, parent_based};
use redspan_tests::Kept;
use redspan_tests::page;
use redspan_tests::process::alone;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

#[instrumented]
fn outer() {
    inner();
}

#[instrumented]
fn inner() {}

#[instrumented(sample = "never")]
fn quiet() {
    inner();
}

fn decided(reason: &str) -> (u64, u64) {
    let all = sample::decisions();
    let of = all.iter().find(|decided| decided.reason.name() == reason);
    of.map_or((0, 0), |of| (of.sampled, of.dropped))
}

fn below(sampled: bool) {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace, span) = (TraceId::from(7), SpanId::from(7));
    let caller = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    let _in = opentelemetry::Context::new().with_remote_span_context(caller).attach();
    outer();
    outer();
}

#[test]
fn a_running_process_takes_another_sampler_and_counts_by_reason() {
    alone("a_running_process_takes_another_sampler_and_counts_by_reason", &[], || {
        let telemetry = redspan::builder()
            .spans_to(Kept::default())
            .sampler(parent_based(AlwaysOff))
            .metrics_at(([127, 0, 0, 1], 0).into())
            .install()
            .unwrap();
        let sampled = || telemetry.spans().sampled;
        (0..10).for_each(|_| outer());
        assert_eq!((sampled(), decided("always_off")), (0, (0, 10)));

        telemetry.set_sampler(parent_based(AlwaysOn));
        (0..20).for_each(|_| outer());
        assert_eq!((sampled(), decided("always_on")), (40, (20, 0)), "the call below follows");
        below(true);
        below(false);
        assert_eq!((sampled(), decided("remote_parent")), (44, (2, 2)), "asked where it comes in");

        // One that looks at every span, also below a local parent.
        telemetry.set_sampler(|span: &Sampling<'_>| match span.name {
            "inner" => Decision::Sample,
            _ => Decision::Drop,
        });
        (0..5).for_each(|_| outer());
        assert_eq!((sampled(), decided("custom")), (49, (5, 5)));
        assert_eq!(decided("local_parent"), (0, 0), "nobody is asked about it");

        let address = telemetry.metrics_address().unwrap();
        let page = page::get(address, "/metrics", Duration::from_secs(10)).unwrap();
        for line in [
            "redspan_sampler_decisions_total{decision=\"drop\",reason=\"always_off\"} 10",
            "redspan_sampler_decisions_total{decision=\"sample\",reason=\"always_on\"} 20",
            "redspan_sampler_decisions_total{decision=\"drop\",reason=\"remote_parent\"} 2",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    });
}

#[test]
fn samplers_change_while_many_threads_ask() {
    alone("samplers_change_while_many_threads_ask", &[], || {
        let telemetry = redspan::builder().spans_to(Kept::default()).install().unwrap();
        let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    while !stop.load(Relaxed) {
                        outer();
                        calls.fetch_add(1, Relaxed);
                    }
                });
            }
            for turn in 0..2_000 {
                match turn % 3 {
                    0 => telemetry.set_sampler(parent_based(AlwaysOn)),
                    1 => telemetry.set_sampler(AlwaysOff),
                    _ => telemetry.set_sampler(sample::trace_id_ratio(0.5)),
                }
            }
            stop.store(true, Relaxed);
        });
        assert!(telemetry.flush(Duration::from_secs(30)));
        let stats = telemetry.spans();
        assert_eq!(stats.running, 0);
        assert_eq!(stats.sampled, stats.exported + stats.dropped(), "{stats:?}");
        assert!(stats.sampled > 0 && calls.load(Relaxed) > 0);
    });
}

#[test]
fn hints_hold_unless_the_operator_names_a_sampler() {
    alone("hints_hold_unless_the_operator_names_a_sampler", &[], || {
        let telemetry = redspan::builder().spans_to(Kept::default()).install().unwrap();
        quiet();
        assert_eq!((telemetry.spans().sampled, decided("hint")), (0, (0, 1)));
        outer();
        assert_eq!(telemetry.spans().sampled, 2);
    });
}

#[test]
fn the_operators_sampler_is_taken_by_its_word() {
    let named = [("OTEL_TRACES_SAMPLER", "parentbased_always_on".to_owned())];
    alone("the_operators_sampler_is_taken_by_its_word", &named, || {
        let telemetry = redspan::builder().spans_to(Kept::default()).install().unwrap();
        quiet();
        assert_eq!((telemetry.spans().sampled, decided("hint")), (2, (0, 0)));
    });
}

//! Log lines: redspan's beside tracing-subscriber's JSON layer, the same event to a writer that discards.
//!
//! Each line is JSON with timestamp, level, message, target, the ids of the current OpenTelemetry span and
//! five fields. redspan's layer finds the ids itself, and says `trace_flags` and `sampled` as well; its
//! lines are written by a thread of its own, so that its process CPU is more than its caller's.
//! tracing-subscriber's layer knows no ids: they are two fields more of the event, read from the current
//! context by whoever logs; it writes on the calling thread.

use super::{Group, ROOT, Running, Scenario};
use crate::work::repeat;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use redspan::Logger;
use redspan::log::LogHandle;
use std::cell::OnceCell;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

const LINE: Scenario = Scenario { group: Group::LogLine, exports: false, ..ROOT };
const OFF: Scenario = Scenario { group: Group::LogOff, exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tracing-json-line",
        says: "fmt's JSON layer over a registry, event flattened, ids as two fields more",
        set_up: || {
            let json = fmt::layer().json().flatten_event(true).with_current_span(false);
            let json = json.with_span_list(false).with_writer(io::sink);
            registry().with(json.with_filter(LevelFilter::INFO)).init();
            Running::without_spans(|calls| inside(|| repeat(calls, line_with_ids)))
        },
        ..LINE
    },
    Scenario {
        name: "tracing-json-nested-line",
        says: "as it comes, with the event's fields in an object",
        set_up: || {
            let json = fmt::layer().json().with_current_span(false).with_span_list(false);
            registry().with(json.with_writer(io::sink).with_filter(LevelFilter::INFO)).init();
            Running::without_spans(|calls| inside(|| repeat(calls, line_with_ids)))
        },
        ..LINE
    },
    Scenario {
        name: "tracing-json-span-line",
        says: "ids as fields of the tracing span around it, which the layer shows",
        set_up: || {
            let json = fmt::layer().json().flatten_event(true).with_span_list(false);
            registry().with(json.with_writer(io::sink).with_filter(LevelFilter::INFO)).init();
            Running::without_spans(|calls| {
                let ids = current();
                let (trace_id, span_id) = (ids.trace_id(), ids.span_id());
                let span = tracing::info_span!("request", %trace_id, %span_id);
                span.in_scope(|| repeat(calls, line));
            })
        },
        ..LINE
    },
    Scenario {
        name: "redspan-line",
        says: "redspan's log layer over a registry",
        against: Some("tracing-json-line"),
        set_up: || {
            alone();
            lines(|calls| inside(|| repeat(calls, line)))
        },
        ..LINE
    },
    Scenario {
        name: "redspan-init-line",
        says: "all of redspan installed",
        against: Some("tracing-json-line"),
        set_up: || {
            installed();
            lines(|calls| inside(|| repeat(calls, line)))
        },
        ..LINE
    },
    Scenario {
        name: "redspan-logger-line",
        says: "all of redspan installed; three of the fields are bound to a logger",
        against: Some("tracing-json-line"),
        set_up: || {
            installed();
            lines(|calls| inside(|| with_logger(|log| repeat(calls, |n| bound_line(log, n)))))
        },
        ..LINE
    },
    Scenario {
        name: "redspan-scope-line",
        says: "all of redspan installed; three of the fields are bound to a scope",
        against: Some("tracing-json-line"),
        set_up: || {
            installed();
            lines(|calls| {
                let scope = || with_logger(Logger::scope);
                inside(|| scope().in_scope(|| repeat(calls, two_fields)))
            })
        },
        ..LINE
    },
    Scenario {
        name: "nothing-off",
        says: "the loop and an addition",
        set_up: || Running::without_spans(|calls| repeat(calls, nothing)),
        ..OFF
    },
    Scenario {
        name: "tracing-off",
        says: "`debug!` below the level of fmt's JSON layer",
        set_up: || {
            let json = fmt::layer().json().with_writer(io::sink);
            registry().with(json.with_filter(LevelFilter::INFO)).init();
            Running::without_spans(|calls| repeat(calls, off))
        },
        ..OFF
    },
    Scenario {
        name: "redspan-off",
        says: "`debug!` below redspan's level",
        against: Some("tracing-off"),
        set_up: || {
            alone();
            Running::without_spans(|calls| repeat(calls, off))
        },
        ..OFF
    },
    Scenario {
        name: "redspan-init-off",
        says: "the same, all of redspan installed",
        against: Some("tracing-off"),
        set_up: || {
            installed();
            Running::without_spans(|calls| repeat(calls, off))
        },
        ..OFF
    },
    Scenario {
        name: "redspan-logger-off",
        says: "`redspan::debug!` of a bound logger, all of redspan installed",
        against: Some("tracing-off"),
        set_up: || {
            installed();
            Running::without_spans(|calls| with_logger(|log| repeat(calls, |n| bound_off(log, n))))
        },
        ..OFF
    },
    Scenario {
        name: "redspan-scope-off",
        says: "`debug!` in a scope with three fields, all of redspan installed",
        against: Some("tracing-off"),
        set_up: || {
            installed();
            Running::without_spans(|calls| {
                with_logger(Logger::scope).in_scope(|| repeat(calls, off));
            })
        },
        ..OFF
    },
];

static HANDLE: OnceLock<LogHandle> = OnceLock::new();

fn layer() -> redspan::log::LogLayer {
    let layer = redspan::log::layer().with_writer(io::sink());
    HANDLE.set(layer.handle()).expect("set up once");
    layer
}

fn alone() {
    registry().with(layer().with_filter(LevelFilter::INFO)).init();
}

fn installed() {
    let installed = redspan::builder().logs(layer()).install();
    std::mem::forget(installed.expect("redspan is installed once"));
}

/// Lines that leave, all of them, before the next burst.
fn lines(burst: fn(u64)) -> Running {
    Running::new(burst, || {
        let lines = HANDLE.get().expect("set up before");
        assert!(lines.flush(Duration::from_secs(60)) && lines.dropped() == 0, "lines were lost");
    })
}

/// Runs in a context with ids.
fn inside<T>(work: impl FnOnce() -> T) -> T {
    let flags = TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from(0x4bf9_2f35_77b3_4da6), SpanId::from(0x00f0_67aa));
    let ids = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    let _current = Context::new().with_remote_span_context(ids).attach();
    work()
}

fn current() -> SpanContext {
    inside(|| Context::map_current(|cx| cx.span().span_context().clone()))
}

#[inline(never)]
fn line(order: u64) -> u64 {
    tracing::info!(
        order,
        customer = "ann",
        price = 12.5,
        express = true,
        region = "eu",
        "order placed"
    );
    order
}

#[inline(never)]
fn line_with_ids(order: u64) -> u64 {
    let (trace_id, span_id) = Context::map_current(|cx| {
        let span = cx.span();
        (span.span_context().trace_id(), span.span_context().span_id())
    });
    tracing::info!(
        %trace_id, %span_id, order, customer = "ann", price = 12.5, express = true, region = "eu",
        "order placed"
    );
    order
}

#[inline(never)]
fn bound_line(log: &Logger, order: u64) -> u64 {
    redspan::info!(log, order, price = 12.5, "order placed");
    order
}

#[inline(never)]
fn two_fields(order: u64) -> u64 {
    tracing::info!(order, price = 12.5, "order placed");
    order
}

#[inline(never)]
fn nothing(order: u64) -> u64 {
    order.wrapping_add(1)
}

#[inline(never)]
fn off(order: u64) -> u64 {
    tracing::debug!(
        order,
        customer = "ann",
        price = 12.5,
        express = true,
        region = "eu",
        "looked at"
    );
    order.wrapping_add(1)
}

#[inline(never)]
fn bound_off(log: &Logger, order: u64) -> u64 {
    redspan::debug!(log, order, price = 12.5, "looked at");
    order.wrapping_add(1)
}

thread_local! {
    static LOGGER: OnceCell<Logger> = const { OnceCell::new() };
}

/// A logger is bound once, and used often.
fn with_logger<T>(work: impl FnOnce(&Logger) -> T) -> T {
    LOGGER.with(|logger| {
        work(logger.get_or_init(|| {
            let log = redspan::logger().with("customer", "ann");
            log.with("express", true).with("region", "eu")
        }))
    })
}

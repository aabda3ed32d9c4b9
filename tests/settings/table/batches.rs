//! Batches, timeouts and limits.

use super::looks::*;
use super::{
    Over, Row, logs, logs_to_receiver, metrics, metrics_to_receiver, row, spans, to_receiver,
};
use redspan::SpanLimits;
use redspan::export::Batching;
use std::time::Duration;

/// How items are gathered, and how long sending them may take.
pub(super) fn rows() -> Vec<Row> {
    // Sent as the program says: with the defaults.
    let by_program: Over = |it| logs(it, logs_to_receiver());
    vec![
        row("OTEL_EXPORTER_OTLP_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("10s")
            .over(
                |it| spans(it, to_receiver().timeout(Duration::from_secs(10))),
                "already_shutdown",
            ),
        row("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("-1")
            .over(
                |it| spans(it, to_receiver().timeout(Duration::from_secs(10))),
                "already_shutdown",
            ),
        row("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", several_logs, "false", ("60", "true"))
            .with("OTEL_BLRP_SCHEDULE_DELAY", "30")
            .hangs()
            .waits()
            .bad("-1")
            .over(by_program, "false"),
        row("OTEL_BLRP_SCHEDULE_DELAY", several_logs, "false", ("30", "true"))
            .waits()
            .bad("soon")
            .over(by_program, "false"),
        row("OTEL_BLRP_MAX_QUEUE_SIZE", logs_dropped, "false", ("1", "true"))
            .hangs()
            .waits()
            .bad("-1")
            .over(by_program, "false"),
        row("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", several_logs, "false", ("1", "true"))
            .waits()
            .bad("0")
            .over(by_program, "false"),
        row("OTEL_BLRP_EXPORT_TIMEOUT", several_logs, "false", ("60", "true"))
            .with("OTEL_BLRP_SCHEDULE_DELAY", "30")
            .hangs()
            .waits()
            .bad("never")
            .over(by_program, "false"),
        row("OTEL_BSP_SCHEDULE_DELAY", early, "false", ("50", "true"))
            .waits()
            .bad("5s")
            .over(|it| it.batching(Batching::default().delay(Duration::from_secs(60))), "false"),
        row("OTEL_BSP_MAX_QUEUE_SIZE", queue_full, "false", ("1", "true"))
            .hangs()
            .bad("0")
            .over(|it| it.batching(Batching::default()), "false"),
        row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", several_requests, "false", ("5", "true"))
            .bad("0")
            .over(|it| it.batching(Batching::default()), "false"),
        row("OTEL_BSP_EXPORT_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("never")
            .over(|it| it.batching(Batching::default()), "already_shutdown"),
        row("OTEL_METRIC_EXPORT_TIMEOUT", several_metrics, "false", ("60", "true"))
            .with("OTEL_METRIC_EXPORT_INTERVAL", "50")
            .hangs()
            .waits()
            .bad("never")
            .over(|it| it.metrics_timeout(Duration::from_secs(30)), "false"),
        row("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", several_metrics, "false", ("60", "true"))
            .with("OTEL_METRIC_EXPORT_INTERVAL", "50")
            .hangs()
            .waits()
            .bad("-1")
            .over(
                |it| metrics(it, metrics_to_receiver().timeout(Duration::from_secs(10))),
                "false",
            ),
        row("OTEL_METRIC_EXPORT_INTERVAL", several_metrics, "false", ("50", "true"))
            .waits()
            .bad("1m")
            .over(|it| it.metrics_every(Duration::from_secs(60)), "false"),
    ]
}

/// What a span may hold.
pub(super) fn limits() -> Vec<Row> {
    vec![
        row("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes, "128", ("2", "2"))
            .bad("many")
            .over(|it| it.span_limits(SpanLimits::default().attributes(3)), "3"),
        row("OTEL_ATTRIBUTE_COUNT_LIMIT", attributes, "128", ("2", "2"))
            .bad("-9")
            .over(|it| it.span_limits(SpanLimits::default().attributes(3)), "3"),
        row("OTEL_SPAN_EVENT_COUNT_LIMIT", events, "128", ("2", "2"))
            .bad("1e3")
            .over(|it| it.span_limits(SpanLimits::default().events(3)), "3"),
        row("OTEL_SPAN_LINK_COUNT_LIMIT", links, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().links(3)), "3"),
        row("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", event_attributes, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().event_attributes(3)), "3"),
        row("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", link_attributes, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().link_attributes(3)), "3"),
        row("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", value_length, "16384", ("9", "9"))
            .bad("-1")
            .over(|it| it.span_limits(SpanLimits::default().value_length(Some(7))), "7"),
        row("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", value_length, "16384", ("9", "9"))
            .bad("eighty")
            .over(|it| it.span_limits(SpanLimits::default().value_length(None)), "20000"),
    ]
}

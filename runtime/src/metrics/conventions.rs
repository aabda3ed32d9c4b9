//! What OpenTelemetry's conventions say of the metrics that integrations record.
//!
//! They are recorded through the crate `metrics`, so that any recorder takes them. It has no word for
//! `{request}`, for a sum that sinks, for buckets, or for a label that is a number: redspan's own
//! recorder knows them from here.
//! <https://opentelemetry.io/docs/specs/semconv/general/metrics/>

use crate::metrics::histogram::Layout;
use crate::metrics::made::Kind;

/// One metric of the conventions.
pub(crate) struct Convention {
    name: &'static str,
    /// The instrument.
    kind: Kind,
    /// UCUM's code.
    pub(crate) unit: &'static str,
    /// The bounds that the conventions advise; none where they are silent.
    bounds: &'static [f64],
}

const fn of(name: &'static str, kind: Kind, unit: &'static str) -> Convention {
    Convention { name, kind, unit, bounds: &[] }
}

/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>
const OF_REQUESTS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>
const OF_QUERIES: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

const CONVENTIONS: &[Convention] = &[
    Convention { bounds: OF_REQUESTS, ..of("http.server.request.duration", Kind::Histogram, "s") },
    of("http.server.active_requests", Kind::UpDown, "{request}"),
    of("http.server.request.body.size", Kind::Histogram, "By"),
    of("http.server.response.body.size", Kind::Histogram, "By"),
    Convention { bounds: OF_REQUESTS, ..of("http.client.request.duration", Kind::Histogram, "s") },
    of("http.client.active_requests", Kind::UpDown, "{request}"),
    Convention { bounds: OF_QUERIES, ..of("db.client.operation.duration", Kind::Histogram, "s") },
    of("db.client.connection.count", Kind::UpDown, "{connection}"),
    of("db.client.connection.max", Kind::UpDown, "{connection}"),
    of("db.client.connection.idle.max", Kind::UpDown, "{connection}"),
    of("db.client.connection.idle.min", Kind::UpDown, "{connection}"),
    of("db.client.connection.pending_requests", Kind::UpDown, "{request}"),
    of("db.client.connection.timeouts", Kind::Counter, "{timeout}"),
    of("otel.sdk.exporter.metric_data_point.exported", Kind::Counter, "{data_point}"),
    of("otel.sdk.span.live", Kind::UpDown, "{span}"),
    of("otel.sdk.exporter.span.inflight", Kind::UpDown, "{span}"),
    of("otel.sdk.processor.span.queue.size", Kind::UpDown, "{span}"),
    of("otel.sdk.processor.span.queue.capacity", Kind::UpDown, "{span}"),
    of("db.client.connection.create_time", Kind::Histogram, "s"),
    of("db.client.connection.wait_time", Kind::Histogram, "s"),
    of("db.client.connection.use_time", Kind::Histogram, "s"),
];

/// Attributes that are whole numbers.
const WHOLE: [&str; 3] = ["http.response.status_code", "server.port", "network.peer.port"];

/// What is said of the metric of this name, if the `metrics` crate records it as `kind`.
pub(crate) fn find(name: &str, kind: Kind) -> Option<&'static Convention> {
    // Most names are the program's own.
    if !["http.", "db.", "otel."].iter().any(|it| name.starts_with(it)) {
        return None;
    }
    CONVENTIONS.iter().find(|it| it.name == name && it.recorded_as() == kind)
}

/// The number that an attribute's text stands for, where the conventions want one.
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "texts have no types"))]
pub(crate) fn whole(attribute: &str, text: &str) -> Option<i64> {
    WHOLE.contains(&attribute).then(|| text.parse().ok()).flatten()
}

impl Convention {
    /// How the `metrics` crate records it: it has no sums that sink.
    fn recorded_as(&self) -> Kind {
        if self.sinks() { Kind::Gauge } else { self.kind }
    }

    /// Whether it is a sum that rises and sinks.
    pub(crate) fn sinks(&self) -> bool {
        self.kind == Kind::UpDown
    }

    /// The buckets that the conventions advise.
    pub(crate) fn layout(&self) -> Option<Layout> {
        (!self.bounds.is_empty()).then(|| Layout::explicit(self.bounds.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_conventions_own_instruments_are_found() {
        assert!(find("http.server.active_requests", Kind::Gauge).is_some_and(Convention::sinks));
        assert!(find("http.server.active_requests", Kind::Counter).is_none());
        assert!(find("http.server.mine", Kind::Gauge).is_none());
        assert!(find("orders", Kind::Counter).is_none());
    }

    #[test]
    fn a_port_is_a_number_and_a_name_is_not() {
        assert_eq!(whole("server.port", "5432"), Some(5_432));
        assert_eq!(whole("server.port", "__overflow__"), None);
        assert_eq!(whole("order.id", "5432"), None);
    }
}

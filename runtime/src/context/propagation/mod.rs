//! What travels between processes: trace context and baggage, in the headers of requests and
//! messages.
//!
//! [`inject`] writes where this work is into a carrier, [`extract`] reads where its caller was:
//!
//! ```
//! use redspan::context::Captured;
//! use redspan::propagation::{extract, inject};
//! use std::collections::HashMap;
//!
//! // The producer, inside its span.
//! let mut headers: HashMap<String, String> = HashMap::new();
//! inject(&mut headers);
//!
//! // The consumer: what runs inside belongs to the producer's trace.
//! Captured::from(extract(&headers)).run(|| { /* handle the message */ });
//! ```
//!
//! | carrier | for |
//! |---|---|
//! | `http::HeaderMap` (features `tower`, `axum`, `reqwest`) | HTTP |
//! | `tonic::metadata::MetadataMap` (feature `otlp`, which brings tonic) | gRPC |
//! | `HashMap<String, V>`, `BTreeMap<String, V>` | maps of strings or bytes |
//! | `Vec<(String, V)>`, slices for reading | the headers of messages, as brokers have them |
//! | your own type, with [`Inject`] and [`Extract`] | everything else |
//!
//! Which headers are read and written is said by `OTEL_PROPAGATORS`, or by
//! [`Builder::propagators`](crate::Builder::propagators); without `init!` by the application's own
//! global propagator. Reading is strict: a malformed header is as good as absent, because a wrong
//! parent joins strangers' traces.
//!
//! **W3C Trace Context, level 2** (`tracecontext`). A `traceparent` that is malformed or comes twice
//! starts a new trace, and `tracestate` is not looked at then. A broken `tracestate` leaves the
//! parent alone: a list of more than 32 members, with a wrong key or value, or of more than 32 KiB
//! is dropped as a whole; of members with the same key the first, which is the latest, is kept; empty
//! members are skipped, and several headers are one list. Of the flags, `sampled` and `random` are
//! known and kept, the others are zeroed. redspan's own trace ids are random and say so.
//!
//! **W3C Baggage** (`baggage`). The first 64 members and 8,192 bytes are taken; a malformed member is
//! dropped, and the others stay. Nothing of it is recorded unless
//! [`Builder::baggage`](crate::Builder::baggage) lists it.
//!
//! **B3** (`b3` writes one header, `b3multi` several; both read both, the single one first). Trace ids of
//! 64 bits are continued with zeros in front. The debug flag is kept and means sampled. Without a
//! sampling state the decision is ours, as for a root; `b3: 0` alone asks for nothing to be recorded, unless
//! another header names the caller's span: then that says it.

mod b3;
pub(crate) mod baggage;
pub(crate) mod carriers;
mod tracecontext;

pub use crate::config::settings::Propagator;
pub(crate) use b3::decides;
pub use carriers::{Extract, Inject, text};

use self::carriers::{Reading, Writing};
use crate::context::current;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, global};

/// A propagator as OpenTelemetry knows them.
type TextMap = Box<dyn TextMapPropagator + Send + Sync>;

impl Propagator {
    /// This propagator by itself, for OpenTelemetry's API.
    ///
    /// ```
    /// use opentelemetry::{Context, propagation::TextMapPropagator, trace::TraceContextExt};
    /// use redspan::propagation::Propagator;
    /// use std::collections::HashMap;
    ///
    /// let b3 = Propagator::B3.text_map();
    /// let headers: HashMap<String, String> =
    ///     HashMap::from([("b3".into(), "463ac35c9f6413ad-a2fb4a1d1a96d312-1".into())]);
    /// let caller = b3.extract_with_context(&Context::new(), &headers);
    /// assert!(caller.span().span_context().is_sampled());
    /// ```
    pub fn text_map(self) -> TextMap {
        match self {
            Propagator::TraceContext => Box::new(tracecontext::TraceContext),
            Propagator::Baggage => Box::new(baggage::BaggageHeader),
            Propagator::B3 => Box::new(b3::B3::single()),
            Propagator::B3Multi => Box::new(b3::B3::multi()),
        }
    }
}

/// All of them as one, each once, in their order.
pub(crate) fn composite(propagators: &[Propagator]) -> TextMapCompositePropagator {
    let mut once: Vec<Propagator> = Vec::new();
    for &propagator in propagators {
        if !once.contains(&propagator) {
            once.push(propagator);
        }
    }
    TextMapCompositePropagator::new(once.into_iter().map(Propagator::text_map).collect())
}

/// Writes the current context into `carrier`, in place of what stood there: of another span nothing is left that
/// these headers would be read with, such as its `tracestate`.
///
/// ```
/// let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
/// redspan::propagation::inject(&mut headers);
/// ```
pub fn inject(carrier: &mut (impl Inject + ?Sized)) {
    inject_context(&current::here(), carrier);
}

/// [`inject`] for another context than the current one.
pub fn inject_context(context: &Context, carrier: &mut (impl Inject + ?Sized)) {
    global::get_text_map_propagator(|propagator| write(propagator, context, carrier));
}

/// Lets `propagator` write `context` into `carrier`, and takes away what would be read with it and is another's.
pub(crate) fn write(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    carrier: &mut (impl Inject + ?Sized),
) {
    if context.span().span_context().is_valid() {
        for name in propagator.fields().flat_map(beside) {
            carrier.remove_header(name);
        }
    }
    propagator.inject_context(context, &mut Writing(carrier));
}

/// The headers that are read with this one and are not written with each: a request that is passed on with its
/// caller's headers would say of this span what they said of the caller's.
fn beside(field: &str) -> &'static [&'static str] {
    match field {
        "traceparent" => &["tracestate"],
        b3::SINGLE | b3::TRACE_ID => &b3::ALL,
        _ => &[],
    }
}

/// The current context, with what `carrier` says of the caller laid over it.
///
/// Give it to [`Captured::from`](crate::context::Captured): what runs inside continues the caller's
/// trace. Where the carrier says nothing that can be used, that is the current context itself.
///
/// ```
/// # let headers = std::collections::HashMap::<String, String>::new();
/// use redspan::context::Captured;
///
/// Captured::from(redspan::propagation::extract(&headers)).run(|| { /* handle the message */ });
/// ```
pub fn extract(carrier: &(impl Extract + ?Sized)) -> Context {
    let here = current::here();
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&here, &Reading(carrier))
    })
}

/// The caller's span, if `carrier` names one: for links, where work has more than one cause.
///
/// ```
/// # let batch = vec![vec![(String::from("k"), b"v".to_vec())]];
/// use redspan::{context, propagation};
///
/// // Inside the span that handles the whole batch.
/// context::link_to(batch.iter().filter_map(|message| propagation::caller(message)));
/// ```
pub fn caller(carrier: &(impl Extract + ?Sized)) -> Option<SpanContext> {
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Reading(carrier))
    });
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    const STALE: [(&str, &str); 8] = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("TraceState", "of=another"),
        ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
        ("X-B3-TraceId", "80f198ee56343ba864fe8b2a57d3eff7"),
        ("X-B3-SpanId", "e457b5a2e4d86bd1"),
        ("X-B3-ParentSpanId", "a2fb4a1d1a96d311"),
        ("X-B3-Sampled", "1"),
        ("X-B3-Flags", "1"),
    ];

    #[test]
    fn a_header_that_names_nobody_takes_nothing_away_from_one_that_does() {
        let headers = vec![
            ("traceparent".to_owned(), STALE[0].1.to_owned()),
            ("b3".to_owned(), "0".to_owned()),
        ];
        for order in [[0, 1], [1, 0]] {
            let propagators = order.map(|at| [Propagator::TraceContext, Propagator::B3][at]);
            let context =
                composite(&propagators).extract_with_context(&Context::new(), &Reading(&headers));
            let caller = context.span().span_context().clone();
            assert_eq!(caller.span_id(), SpanId::from(0x00f0_67aa_0ba9_02b7), "{propagators:?}");
            assert!(caller.is_sampled());
        }
    }

    #[test]
    fn of_the_span_whose_headers_are_passed_on_nothing_is_left_beside_the_new_one() {
        let span = SpanContext::new(
            TraceId::from(1),
            SpanId::from(2),
            TraceFlags::NOT_SAMPLED,
            false,
            TraceState::NONE,
        );
        for (propagators, written) in [
            (vec![Propagator::TraceContext, Propagator::Baggage], vec!["traceparent"]),
            (vec![Propagator::B3], vec!["b3"]),
            (vec![Propagator::B3Multi], vec!["x-b3-sampled", "x-b3-spanid", "x-b3-traceid"]),
        ] {
            let mut headers: Vec<(String, String)> =
                STALE.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            let own = |name: &str| match propagators[0] {
                Propagator::TraceContext => name.starts_with("trace"),
                _ => name.contains("b3"),
            };
            headers.retain(|(name, _)| own(&name.to_ascii_lowercase()));
            headers.push(("baggage".to_owned(), "a=1".to_owned()));
            let context = Context::new().with_remote_span_context(span.clone());
            write(&composite(&propagators), &context, &mut headers);
            let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            let mut expected = [vec!["baggage"], written].concat();
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
    }
}

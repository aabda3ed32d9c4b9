//! B3, as Zipkin's family speaks it. <https://github.com/openzipkin/b3-propagation>

use super::carriers::{all, only};
use crate::context::{ids, pending};
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::sync::LazyLock;

pub(super) const SINGLE: &str = "b3";
pub(super) const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_SPAN_ID: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// All that either encoding may consist of.
pub(super) const ALL: [&str; 6] = [SINGLE, TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SAMPLED, FLAGS];

/// Reads both encodings, and writes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct B3 {
    multi: bool,
}

impl B3 {
    pub(super) fn single() -> Self {
        B3 { multi: false }
    }

    pub(super) fn multi() -> Self {
        B3 { multi: true }
    }
}

/// What the caller has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampling {
    Deny,
    Accept,
    /// Accept, and tell everybody below to.
    Debug,
    /// Leave it to us.
    Defer,
}

/// The trace is being debugged: whoever is called below is told so.
#[derive(Clone, Copy, Debug)]
struct Debugged(TraceId);

/// The caller whose span has this id has not decided.
#[derive(Clone, Copy, Debug)]
struct Deferred(SpanId);

/// Whether the caller has decided about sampling: otherwise its trace is decided about as a new one.
pub(crate) fn decides(context: &Context, caller: &SpanContext) -> bool {
    caller.is_sampled()
        || !caller.is_remote()
        || context.get::<Deferred>().is_none_or(|deferred| deferred.0 != caller.span_id())
}

/// What headers say.
struct Caller {
    ids: Option<(TraceId, SpanId)>,
    sampling: Sampling,
}

fn hex<T>(text: &str, lengths: &[usize], read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (digits && lengths.contains(&text.len())).then(|| read(text)).flatten()
}

/// 32 digits, or 16: then the other half is zeros.
fn trace_id(text: &str) -> Option<TraceId> {
    hex(text, &[16, 32], |text| TraceId::from_hex(text).ok()).filter(|&id| id != TraceId::INVALID)
}

fn span_id(text: &str) -> Option<SpanId> {
    hex(text, &[16], |text| SpanId::from_hex(text).ok()).filter(|&id| id != SpanId::INVALID)
}

/// `{trace}-{span}`, `{trace}-{span}-{state}`, `{trace}-{span}-{state}-{parent}` or `{state}`.
fn single(header: &str) -> Option<Caller> {
    let sampling = |text: &str| match text {
        "0" => Some(Sampling::Deny),
        "1" => Some(Sampling::Accept),
        "d" => Some(Sampling::Debug),
        _ => None,
    };
    if let Some(sampling) = sampling(header) {
        return Some(Caller { ids: None, sampling });
    }
    let mut parts = header.split('-');
    let ids = (trace_id(parts.next()?)?, span_id(parts.next()?)?);
    let sampling = parts.next().map_or(Some(Sampling::Defer), sampling)?;
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    parts.next().is_none().then_some(Caller { ids: Some(ids), sampling })
}

fn multi(extractor: &dyn Extractor) -> Option<Caller> {
    // Absent is one thing, twice another.
    let optional = |name| match all(extractor, name).is_empty() {
        true => Some(None),
        false => only(extractor, name).map(Some),
    };
    let sampling = match optional(SAMPLED)? {
        // Words that were sent before there was a specification.
        Some("1" | "true") => Sampling::Accept,
        Some("0" | "false") => Sampling::Deny,
        Some(_) => return None,
        None => Sampling::Defer,
    };
    // Other values mean nothing.
    let sampling = if optional(FLAGS)? == Some("1") { Sampling::Debug } else { sampling };
    if let Some(parent) = optional(PARENT_SPAN_ID)? {
        span_id(parent)?;
    }
    let ids = match (optional(TRACE_ID)?, optional(SPAN_ID)?) {
        (Some(trace), Some(span)) => Some((trace_id(trace)?, span_id(span)?)),
        (None, None) => None,
        _ => return None,
    };
    Some(Caller { ids, sampling })
}

fn extract(extractor: &dyn Extractor) -> Option<Caller> {
    if all(extractor, SINGLE).is_empty() {
        multi(extractor)
    } else {
        single(only(extractor, SINGLE)?)
    }
}

/// Whether a caller is known already: a propagator that was asked before has read its header.
fn is_named(context: &Context) -> bool {
    let span = context.span();
    span.span_context().is_valid() && span.span_context().is_remote()
}

impl TextMapPropagator for B3 {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let debugged = context.get::<Debugged>().is_some_and(|it| it.0 == span.trace_id());
        let sampling = match () {
            () if debugged => Sampling::Debug,
            () if pending::propagated_as_sampled(span) => Sampling::Accept,
            () if !decides(context, span) => Sampling::Defer,
            () => Sampling::Deny,
        };
        let (trace_id, span_id) = (span.trace_id(), span.span_id());
        if !self.multi {
            let state = match sampling {
                Sampling::Debug => "-d",
                Sampling::Accept => "-1",
                Sampling::Deny => "-0",
                Sampling::Defer => "",
            };
            injector.set(SINGLE, format!("{trace_id}-{span_id}{state}"));
            return;
        }
        injector.set(TRACE_ID, trace_id.to_string());
        injector.set(SPAN_ID, span_id.to_string());
        match sampling {
            // Debug implies the decision, which then must not be sent.
            Sampling::Debug => injector.set(FLAGS, String::from("1")),
            Sampling::Accept => injector.set(SAMPLED, String::from("1")),
            Sampling::Deny => injector.set(SAMPLED, String::from("0")),
            Sampling::Defer => {}
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let Some(Caller { ids, sampling }) = extract(extractor) else { return context.clone() };
        let (trace_id, span_id) = match (ids, sampling) {
            (Some(ids), _) => ids,
            // Whose span another header names has decided about it: what names nobody takes nothing of that away.
            (None, _) if is_named(context) => return context.clone(),
            // A trace that nobody records, for the spans below to follow.
            (None, Sampling::Deny) => (ids::trace_id(), ids::span_id()),
            // Nothing is named that a span could be below; a new trace is decided about here.
            (None, _) => return context.clone(),
        };
        let flags = match sampling {
            Sampling::Accept | Sampling::Debug => TraceFlags::SAMPLED,
            Sampling::Deny | Sampling::Defer => TraceFlags::NOT_SAMPLED,
        };
        let context = match sampling {
            Sampling::Debug => context.with_value(Debugged(trace_id)),
            Sampling::Defer => context.with_value(Deferred(span_id)),
            Sampling::Accept | Sampling::Deny => context.clone(),
        };
        let caller = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
        context.with_remote_span_context(caller)
    }

    fn fields(&self) -> FieldIter<'_> {
        static SINGLE_FIELD: LazyLock<[String; 1]> = LazyLock::new(|| [SINGLE.to_owned()]);
        static MULTI_FIELDS: LazyLock<[String; 4]> =
            LazyLock::new(|| [TRACE_ID, SPAN_ID, SAMPLED, FLAGS].map(str::to_owned));
        FieldIter::new(if self.multi { MULTI_FIELDS.as_ref() } else { SINGLE_FIELD.as_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const LONG: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn context(pairs: &[(&str, &str)]) -> Context {
        let headers: HashMap<String, String> =
            pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        B3::single().extract_with_context(&Context::new(), &headers)
    }

    fn written(b3: B3, context: &Context) -> Vec<(String, String)> {
        let mut out = HashMap::new();
        b3.inject_context(context, &mut out);
        let mut out: Vec<_> = out.into_iter().collect();
        out.sort();
        out
    }

    #[test]
    fn both_encodings_say_the_same() {
        for (state, header, value) in [
            ("-1", SAMPLED, Some("1")),
            ("-0", SAMPLED, Some("0")),
            ("-d", FLAGS, Some("1")),
            ("", SAMPLED, None),
        ] {
            let one = vec![(SINGLE.to_owned(), format!("{LONG}-{SPAN}{state}"))];
            let mut several =
                vec![(SPAN_ID.to_owned(), SPAN.to_owned()), (TRACE_ID.to_owned(), LONG.to_owned())];
            several.extend(value.map(|value| (header.to_owned(), value.to_owned())));
            several.sort();
            for pairs in [&one, &several] {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                let context = context(&pairs);
                assert_eq!(written(B3::single(), &context), one);
                assert_eq!(written(B3::multi(), &context), several);
                let sampled = ["-1", "-d"].contains(&state);
                let span = context.span().span_context().clone();
                assert_eq!(span.is_sampled(), sampled, "{state}");
                assert_eq!(decides(&context, &span), !state.is_empty(), "{state}");
            }
        }
    }

    #[test]
    fn a_trace_id_of_64_bits_is_continued() {
        let context = context(&[("b3", "463ac35c9f6413ad-a2fb4a1d1a96d312-1-a2fb4a1d1a96d311")]);
        let id = context.span().span_context().trace_id();
        assert_eq!(id, TraceId::from(0x463a_c35c_9f64_13ad));
    }

    #[test]
    fn a_bare_denial_is_followed_and_a_bare_acceptance_names_nobody() {
        for pairs in [("b3", "0"), (SAMPLED, "0"), (SAMPLED, "false")] {
            let context = context(&[pairs]);
            let span = context.span().span_context().clone();
            assert!(span.is_valid() && span.is_remote() && !span.is_sampled());
        }
        for pairs in [("b3", "1"), ("b3", "d"), (SAMPLED, "1"), (FLAGS, "1")] {
            assert!(!context(&[pairs]).span().span_context().is_valid());
        }
    }

    #[test]
    fn malformed_headers_are_refused_and_the_single_one_comes_first() {
        let good = format!("{LONG}-{SPAN}-1");
        let multi = [(TRACE_ID, LONG), (SPAN_ID, SPAN)];
        for bad in [
            "",
            "-",
            "2",
            "D",
            "x",
            LONG,
            &good.to_uppercase(),
            &format!("{good}-"),
            &format!("{good}-{SPAN}-"),
            &format!("{good}-12"),
            &format!("{LONG}-{SPAN}-"),
            &format!("{LONG}-{SPAN}-2"),
            &good[1..],
            &format!("{}-{SPAN}-1", "0".repeat(32)),
            &format!("{LONG}-{}-1", "0".repeat(16)),
            &format!("é{}", &good[2..]),
        ] {
            assert!(!context(&[("b3", bad)]).span().span_context().is_valid(), "{bad}");
            let both = context(&[("b3", bad), multi[0], multi[1]]);
            assert!(!both.span().span_context().is_valid(), "{bad} hides what stands beside it");
        }
        for bad in [[(TRACE_ID, LONG), (SAMPLED, "1")], [(SPAN_ID, SPAN), (SAMPLED, "1")]] {
            assert!(!context(&bad).span().span_context().is_valid());
        }
        for bad in [(SAMPLED, "2"), (PARENT_SPAN_ID, "1")] {
            assert!(!context(&[multi[0], multi[1], bad]).span().span_context().is_valid());
        }
    }
}

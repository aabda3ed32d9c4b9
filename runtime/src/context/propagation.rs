//! What travels between processes: W3C Trace Context.
//! <https://www.w3.org/TR/trace-context/>
//!
//! The SDK's propagator accepts malformed headers; this one does not, because a wrong parent joins
//! strangers' traces.

use super::pending;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::sync::LazyLock;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Reads and writes `traceparent` and `tracestate`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceContext(());

impl TraceContext {
    /// The propagator.
    pub(crate) fn new() -> Self {
        TraceContext(())
    }
}

/// `version-traceid-spanid-flags`, all lower-case hex, of exactly these lengths. A later version
/// may append fields; version ff is forbidden, and so are ids of zeros.
fn parse(header: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let field = |from: usize, to: usize| {
        let digits = header.get(from..to)?;
        digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(digits)
    };
    let dash = |at: usize| (header.as_bytes().get(at) == Some(&b'-')).then_some(());
    let version = u8::from_str_radix(field(0, 2)?, 16).ok().filter(|&version| version != 0xff)?;
    dash(2)?;
    let trace_id = TraceId::from_hex(field(3, 35)?).ok().filter(|&id| id != TraceId::INVALID)?;
    dash(35)?;
    let span_id = SpanId::from_hex(field(36, 52)?).ok().filter(|&id| id != SpanId::INVALID)?;
    dash(52)?;
    let flags = u8::from_str_radix(field(53, 55)?, 16).ok()?;
    if header.len() > 55 {
        (version > 0).then_some(())?;
        dash(55)?;
    }
    // Only the sampled flag is known to version 00.
    let sampled = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    Some((trace_id, span_id, sampled))
}

/// A list of at most 32 `key=value`, no key twice; otherwise nothing of it is taken.
fn state(list: &str) -> Option<TraceState> {
    let key_is_valid = |key: &str| {
        let mut bytes = key.bytes();
        key.len() <= 256
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b))
    };
    let value_is_valid = |value: &str| {
        (1..=256).contains(&value.len())
            && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b',' && b != b'=')
    };
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in list.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let known = members.iter().any(|(other, _)| *other == key);
        if known || members.len() == 32 || !key_is_valid(key) || !value_is_valid(value) {
            return None;
        }
        members.push((key, value));
    }
    TraceState::from_key_value(members).ok()
}

fn extract(extractor: &dyn Extractor) -> Option<SpanContext> {
    // Two headers are as good as none: nobody can say which is right.
    let mut parents = extractor.get_all(TRACEPARENT)?.into_iter();
    let parent = parents.next().filter(|_| parents.next().is_none())?;
    let (trace_id, span_id, flags) = parse(parent.trim())?;
    let state = extractor
        .get_all(TRACESTATE)
        .map(|lists| lists.join(","))
        .and_then(|list| state(&list))
        // A broken tracestate does not break the parent.
        .unwrap_or_default();
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

impl TextMapPropagator for TraceContext {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let sampled = pending::propagated_as_sampled(span);
        let flags = TraceFlags::default().with_sampled(sampled);
        injector
            .set(TRACEPARENT, format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), flags));
        let state = span.trace_state().header();
        if !state.is_empty() {
            injector.set(TRACESTATE, state);
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        match extract(extractor) {
            Some(parent) => context.with_remote_span_context(parent),
            None => context.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> =
            LazyLock::new(|| [TRACEPARENT.to_owned(), TRACESTATE.to_owned()]);
        FieldIter::new(FIELDS.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn extracted(pairs: &[(&str, &str)]) -> SpanContext {
        let headers: HashMap<String, String> =
            pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let context = TraceContext::new().extract_with_context(&Context::new(), &headers);
        context.span().span_context().clone()
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_parent_is_taken_and_given_on() {
        let parent = extracted(&[("traceparent", GOOD), ("tracestate", "a=1,b=2")]);
        assert!(parent.is_remote() && parent.is_sampled());
        assert_eq!(parent.trace_state().header(), "a=1,b=2");
        let mut out = HashMap::new();
        TraceContext::new()
            .inject_context(&Context::new().with_remote_span_context(parent), &mut out);
        assert_eq!(out["traceparent"], GOOD);
        assert_eq!(out["tracestate"], "a=1,b=2");
    }

    #[test]
    fn malformed_parents_are_refused() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert!(!extracted(&[("traceparent", header)]).is_valid(), "{header}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let longer = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(extracted(&[("traceparent", longer)]).is_valid());
    }

    #[test]
    fn a_broken_tracestate_does_not_break_the_parent() {
        for state in ["=;no", "a", "a=1,a=2", "A=1", "a=b=c", "a=\u{e9}"] {
            let parent = extracted(&[("traceparent", GOOD), ("tracestate", state)]);
            assert!(parent.is_valid());
            assert_eq!(parent.trace_state().header(), "", "{state}");
        }
    }
}

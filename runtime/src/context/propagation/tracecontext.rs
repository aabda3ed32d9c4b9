//! W3C Trace Context, level 2. <https://www.w3.org/TR/trace-context-2/>
//!
//! The SDK's propagator accepts malformed headers; this one does not, because a wrong parent joins
//! strangers' traces.

use super::carriers::{OWS, all, only};
use crate::context::ids::{RANDOM, hex};
use crate::context::pending;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::sync::LazyLock;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// More than 32 members of the longest kind take, so that only white space can be cut off by it.
const MAX_STATE: usize = 32 * 1024;
const MAX_MEMBERS: usize = 32;

/// Reads and writes `traceparent` and `tracestate`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceContext;

/// A list that OpenTelemetry's `TraceState` cannot hold: it checks keys by level 1, where `@` parts
/// tenant and vendor. The context carries it beside the span.
#[derive(Debug)]
struct Whole {
    trace_id: TraceId,
    /// The members that a `TraceState` can hold: what the span shows.
    shown: TraceState,
    list: String,
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
    // What level 2 does not know must be sent on as zero.
    Some((trace_id, span_id, TraceFlags::new(flags) & (TraceFlags::SAMPLED | RANDOM)))
}

/// As [`parse`] reads it.
fn shown(span: &SpanContext, flags: TraceFlags) -> String {
    let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
    header[3..35].copy_from_slice(hex(span.trace_id().to_bytes()).as_flattened());
    header[36..52].copy_from_slice(hex(span.span_id().to_bytes()).as_flattened());
    header[53..].copy_from_slice(hex([flags.to_u8()]).as_flattened());
    str::from_utf8(&header).unwrap_or_default().to_owned()
}

fn key_is_valid(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= 256
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b))
}

fn value_is_valid(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b',' && b != b'=')
}

/// The members of all headers in their order. One that is malformed spoils the list: nothing of it
/// is taken.
fn state<'a>(lists: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    if lists.iter().map(|list| list.len() + 1).sum::<usize>() > MAX_STATE {
        return None;
    }
    let mut members: Vec<(&str, &str)> = Vec::new();
    let mut listed = 0;
    for member in lists.iter().flat_map(|list| list.split(',')).map(|it| it.trim_matches(OWS)) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        listed += 1;
        if listed > MAX_MEMBERS || !key_is_valid(key) || !value_is_valid(value) {
            return None;
        }
        // A key may stand there twice if some sender erred; new ones come first, so the first is the
        // latest.
        if !members.iter().any(|(other, _)| *other == key) {
            members.push((key, value));
        }
    }
    Some(members)
}

fn extract(extractor: &dyn Extractor) -> Option<(SpanContext, Option<Whole>)> {
    let (trace_id, span_id, flags) = parse(only(extractor, TRACEPARENT)?)?;
    // A broken tracestate does not break the parent.
    let members = state(&all(extractor, TRACESTATE)).unwrap_or_default();
    let (state, whole) = match TraceState::from_key_value(members.iter().copied()) {
        Ok(state) => (state, None),
        Err(_) => {
            let holds = |pair: &&(&str, &str)| TraceState::from_key_value([**pair]).is_ok();
            let held = members.iter().filter(holds).copied();
            let shown = TraceState::from_key_value(held).unwrap_or_default();
            let list: Vec<_> =
                members.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let list = list.join(",");
            (shown.clone(), Some(Whole { trace_id, shown, list }))
        }
    };
    Some((SpanContext::new(trace_id, span_id, flags, true, state), whole))
}

impl TextMapPropagator for TraceContext {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let flags = span.trace_flags() & RANDOM;
        let flags = flags.with_sampled(pending::propagated_as_sampled(span));
        injector.set(TRACEPARENT, shown(span, flags));
        let state = span.trace_state();
        // If somebody has changed the state meanwhile, that is the one to send.
        let whole = context
            .get::<Whole>()
            .filter(|whole| whole.trace_id == span.trace_id() && whole.shown == *state);
        let state = whole.map_or_else(|| state.header(), |whole| whole.list.clone());
        if !state.is_empty() {
            injector.set(TRACESTATE, state);
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        match extract(extractor) {
            Some((parent, None)) => context.with_remote_span_context(parent),
            Some((parent, Some(whole))) => {
                context.with_value(whole).with_remote_span_context(parent)
            }
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
        let context = TraceContext.extract_with_context(&Context::new(), &headers);
        context.span().span_context().clone()
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_parent_is_taken_and_given_on() {
        let parent = extracted(&[("traceparent", GOOD), ("tracestate", "a=1,b=2")]);
        assert!(parent.is_remote() && parent.is_sampled());
        assert_eq!(parent.trace_state().header(), "a=1,b=2");
        let mut out = HashMap::new();
        TraceContext.inject_context(&Context::new().with_remote_span_context(parent), &mut out);
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
        for state in ["=;no", "a", "A=1", "a=b=c", "a=,b=1", "a=\u{e9}", "@a=1", "a =1"] {
            let parent = extracted(&[("traceparent", GOOD), ("tracestate", state)]);
            assert!(parent.is_valid());
            assert_eq!(parent.trace_state().header(), "", "{state}");
        }
    }

    #[test]
    fn the_random_flag_is_kept_and_unknown_flags_are_not() {
        for (flags, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("fc", 0)] {
            let header = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(extracted(&[("traceparent", &header)]).trace_flags().to_u8(), kept);
        }
    }

    #[test]
    fn a_state_keeps_its_order_over_several_headers_with_empty_members() {
        let members = state(&["foo=1 , \t,bar= 2", "", " , ", "foo=3,baz=4"]).unwrap();
        assert_eq!(members, [("foo", "1"), ("bar", " 2"), ("baz", "4")]);
    }

    #[test]
    fn a_state_has_at_most_32_members_and_keys_and_values_256_characters() {
        let list = |n: usize| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&list(32)]).map(|members| members.len()), Some(32));
        assert!(state(&[&list(33)]).is_none());
        for (key, value, taken) in [(256, 256, true), (257, 256, false), (256, 257, false)] {
            let list = format!("{}={}", "k".repeat(key), "v".repeat(value));
            assert_eq!(state(&[&list]).is_some(), taken, "{key} {value}");
        }
        assert!(state(&[&" ".repeat(MAX_STATE)]).is_none());
    }

    #[test]
    fn keys_of_level_2_go_through_although_the_api_cannot_hold_them() {
        let list = "foo@@bar=1,a=2,t@vvvvvvvvvvvvvvvvvvv=3";
        let headers = HashMap::from([
            ("traceparent".to_owned(), GOOD.to_owned()),
            ("tracestate".to_owned(), list.to_owned()),
        ]);
        let context = TraceContext.extract_with_context(&Context::new(), &headers);
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_state().header(), "a=2");
        let mut out = HashMap::new();
        TraceContext.inject_context(&context, &mut out);
        assert_eq!(out["tracestate"], list);

        // A changed state, or another trace, is not overwritten with it.
        let changed = span.trace_state().insert("b", "3").unwrap();
        let (flags, id) = (span.trace_flags(), span.span_id());
        for (trace_id, state) in [(span.trace_id(), changed), (TraceId::from(1), TraceState::NONE)]
        {
            let header = state.header();
            let span = SpanContext::new(trace_id, id, flags, false, state);
            let mut out = HashMap::new();
            TraceContext.inject_context(&context.with_remote_span_context(span), &mut out);
            assert_eq!(out.get("tracestate").map_or("", String::as_str), header);
        }
    }
}

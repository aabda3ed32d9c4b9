//! Headers from strangers: valid ones mutated, and noise. Whatever comes, nothing panics, nothing
//! malformed is accepted (a second, slow reading of the specifications says what is), and what was
//! accepted is sent on unchanged.
//!
//! `cargo test` runs a short, seeded version of each. The long one:
//!
//! ```sh
//! REDSPAN_FUZZ_SECONDS=600 cargo test --release -p redspan-tests --test propagation_fuzz -- --ignored --nocapture
//! ```

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use redspan::propagation::{Extract, Propagator};
use redspan_tests::Random;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

type Pairs = Vec<(String, Vec<u8>)>;

struct Headers<'a>(&'a Pairs);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header_values(key).first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.header_names()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.0.header_values(key)).filter(|values| !values.is_empty())
    }
}

/// What the formats are made of, and what comes close.
const BYTES: &[u8] = b"0123456789abcdefABCDEFgz-_*/@=;,. \t%\"\\d01\0\r\n\x7f\x80\xc3\xa9\xff";

fn mutated(random: &mut Random, seeds: &[&str]) -> Vec<u8> {
    let mut text = random.of(seeds).as_bytes().to_vec();
    for _ in 0..random.of(&[0, 1, 1, 1, 2, 3, 8]) {
        let at = random.below(text.len() + 1);
        let to = (at + random.below(24)).min(text.len());
        match random.below(10) {
            0 if at < text.len() => text[at] = random.of(BYTES),
            1 if at < text.len() => text[at] = random.next_u64() as u8,
            2 => text.insert(at, random.of(BYTES)),
            3 if at < text.len() => drop(text.remove(at)),
            4 => text.truncate(at),
            5 => {
                let part = text[at..to].to_vec();
                text.splice(at..at, part);
            }
            6 => drop(text.drain(at..to)),
            // Up to the limits on keys and values, and over them.
            7 if at < text.len() => {
                let stretched = vec![text[at]; random.of(&[3, 250, 255, 256, 257])];
                text.splice(at..at, stretched);
            }
            8 => {
                let other = random.of(seeds).as_bytes();
                let from = random.below(other.len() + 1);
                text.truncate(at);
                text.extend_from_slice(&other[from..]);
            }
            _ => {
                let other = random.of(seeds);
                text.push(b',');
                text.extend_from_slice(other.as_bytes());
            }
        }
    }
    if random.below(32) == 0 {
        text = (0..random.below(300)).map(|_| random.next_u64() as u8).collect();
    }
    if random.below(64) == 0 {
        let part = [&text[..], b","].concat();
        for _ in 0..random.below(80) {
            text.extend_from_slice(&part);
        }
    }
    text
}

/// One header, or seldom two.
fn headers(random: &mut Random, name: &str, seeds: &[&str]) -> Pairs {
    let many = random.of(&[1, 1, 1, 1, 1, 1, 1, 2, 2, 3]);
    (0..many).map(|_| (name.to_owned(), mutated(random, seeds))).collect()
}

fn blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn of_alphabet(text: &str, alphabet: &str) -> bool {
    text.chars().all(|c| alphabet.contains(c))
}

fn is_id(text: &str, length: usize) -> bool {
    text.len() == length && of_alphabet(text, "0123456789abcdef") && !of_alphabet(text, "0")
}

fn sent(propagator: &dyn TextMapPropagator, context: &Context) -> BTreeMap<String, String> {
    let mut out = HashMap::new();
    propagator.inject_context(context, &mut out);
    out.into_iter().collect()
}

fn resent(propagator: &dyn TextMapPropagator, out: &BTreeMap<String, String>) -> Context {
    let pairs = out.iter().map(|(k, v)| (k.clone(), v.clone().into_bytes())).collect();
    propagator.extract_with_context(&Context::new(), &Headers(&pairs))
}

fn read(propagator: &dyn TextMapPropagator, pairs: &Pairs) -> (Context, Option<SpanContext>) {
    let context = propagator.extract_with_context(&Context::new(), &Headers(pairs));
    let span = context.span().span_context().clone();
    (context, span.is_valid().then_some(span))
}

const PARENTS: &[&str] = &[
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
    "00-00000000000000000000000000000001-0000000000000001-00",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes",
    "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    "00-00000000000000000000000000000000-0000000000000000-00",
];

/// What a `traceparent` says: trace, span, the two flags.
fn expected_parent(pairs: &Pairs) -> Option<(String, String, u8)> {
    let [value] = pairs.header_values("traceparent")[..] else { return None };
    let parts: Vec<&str> = value.trim_matches(blank).split('-').collect();
    let [version, trace, span, flags, ref rest @ ..] = parts[..] else { return None };
    let hex = |text: &str| text.len() == 2 && of_alphabet(text, "0123456789abcdef");
    let known = version == "00" && rest.is_empty();
    let later = hex(version) && version != "00" && version != "ff";
    if !(known || later) || !is_id(trace, 32) || !is_id(span, 16) || !hex(flags) {
        return None;
    }
    let last = "0123456789abcdef".find(&flags[1..])? as u8;
    Some((trace.to_owned(), span.to_owned(), last & 3))
}

fn traceparent(random: &mut Random) {
    let propagator = Propagator::TraceContext.text_map();
    let pairs = headers(random, "traceparent", PARENTS);
    let (context, span) = read(&*propagator, &pairs);
    let expected = expected_parent(&pairs);
    let found = span.as_ref().map(|span| {
        let flags = span.trace_flags().to_u8();
        (span.trace_id().to_string(), span.span_id().to_string(), flags)
    });
    assert_eq!(found, expected, "{pairs:?}");
    let out = sent(&*propagator, &context);
    assert_eq!(out.len(), usize::from(span.is_some()));
    assert_eq!(
        resent(&*propagator, &out).span().span_context().clone(),
        span.unwrap_or(SpanContext::NONE)
    );
}

const STATES: &[&str] = &[
    "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "foo=1 \t , \t bar=2, \t baz=3",
    "fw529a3039@dt=FfAAAAAA;x,0a-b_c*d/e= ~!",
    "foo@@bar=1,t@vvvvvvvvvvvvvvvvvvvvvvv=2,@bad=3",
    "a=1,a=2,,b=3,",
    "k1=1,k2=2,k3=3,k4=4,k5=5,k6=6,k7=7,k8=8,k9=9,ka=a,kb=b,kc=c,kd=d,ke=e,kf=f,kg=g,kh=h,ki=i,kj=j,kk=k,kl=l,km=m,kn=n,ko=o,kp=p,kq=q,kr=r,ks=s,kt=t,ku=u,kv=v,kw=w",
    "",
];

fn expected_state(pairs: &Pairs) -> String {
    let lists = pairs.header_values("tracestate");
    if lists.iter().map(|list| list.len() + 1).sum::<usize>() > 32 * 1024 {
        return String::new();
    }
    let mut kept: Vec<(String, String)> = Vec::new();
    let mut count = 0;
    for member in lists.join(",").split(',') {
        let member = member.trim_matches(blank);
        if member.is_empty() {
            continue;
        }
        count += 1;
        let parts: Vec<&str> = member.split('=').collect();
        let [key, value] = parts[..] else { return String::new() };
        let lower = "abcdefghijklmnopqrstuvwxyz0123456789";
        let key_is_good = key.chars().next().is_some_and(|first| lower.contains(first))
            && of_alphabet(key, &format!("{lower}_-*/@"))
            && key.len() <= 256;
        let value_is_good =
            value.chars().all(|c| (' '..='~').contains(&c)) && (1..=256).contains(&value.len());
        if !key_is_good || !value_is_good || count > 32 {
            return String::new();
        }
        if kept.iter().all(|(other, _)| other != key) {
            kept.push((key.to_owned(), value.to_owned()));
        }
    }
    let kept: Vec<String> = kept.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    kept.join(",")
}

fn tracestate(random: &mut Random) {
    let propagator = Propagator::TraceContext.text_map();
    let mut pairs = headers(random, "tracestate", STATES);
    pairs.push((String::from("traceparent"), PARENTS[0].as_bytes().to_vec()));
    let (context, span) = read(&*propagator, &pairs);
    assert!(span.is_some(), "a state never breaks the parent: {pairs:?}");
    let out = sent(&*propagator, &context);
    let found = out.get("tracestate").map_or("", String::as_str);
    assert_eq!(found, expected_state(&pairs), "{pairs:?}");
    assert_eq!(sent(&*propagator, &resent(&*propagator, &out)), out);
}

const BAGGAGE: &[&str] = &[
    "userId=alice,serverNode=DF%2028,isProduction=false",
    "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
    "a=%C3%A9%ff%20%3B,b=,c=x=y;p = %41",
    "userId=Am%C3%A9lie,userId=again,%20=odd",
    "broken,=1,a b=1,q=\"1\",p=%4,z=1;,ok=1",
    "",
];

fn expected_value(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if !('!'..='~').contains(&c) || "\",;\\".contains(c) {
            return None;
        }
        if c == '%' {
            let digits: String = chars.get(at + 1..at + 3)?.iter().collect();
            if !of_alphabet(&digits, "0123456789abcdefABCDEF") {
                return None;
            }
            bytes.push(u8::from_str_radix(&digits, 16).ok()?);
            at += 3;
        } else {
            bytes.push(c as u8);
            at += 1;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_token(text: &str) -> bool {
    let separators = "()<>@,;:\\\"/[]?={}";
    !text.is_empty() && text.chars().all(|c| ('!'..='~').contains(&c) && !separators.contains(c))
}

type Members = BTreeMap<String, (String, String)>;

fn expected_baggage(pairs: &Pairs) -> Members {
    let mut members = Members::new();
    let mut length = 0;
    for text in pairs.header_values("baggage").join(",").split(',') {
        length += text.len() + usize::from(length > 0 || text.is_empty());
        if members.len() == 64 || length > 8192 + 1 {
            break;
        }
        let mut parts = text.trim_matches(blank).split(';');
        let Some((key, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        let (key, value) = (key.trim_matches(blank), expected_value(value.trim_matches(blank)));
        let mut metadata = Vec::new();
        let mut good = is_token(key) && value.is_some();
        for property in parts {
            let property: Vec<_> =
                property.splitn(2, '=').map(|it| it.trim_matches(blank)).collect();
            good &= is_token(property[0]);
            good &= property.get(1).is_none_or(|value| expected_value(value).is_some());
            metadata.push(property.join("="));
        }
        if let Some(value) = value.filter(|_| good) {
            members.insert(key.to_owned(), (value, metadata.join(";")));
        }
    }
    members
}

fn members(context: &Context) -> Members {
    let pairs = context.baggage().iter();
    pairs.map(|(k, (v, m))| (k.to_string(), (v.to_string(), m.as_str().to_owned()))).collect()
}

fn baggage(random: &mut Random) {
    let propagator = Propagator::Baggage.text_map();
    let pairs = headers(random, "baggage", BAGGAGE);
    let context = propagator.extract_with_context(&Context::new(), &Headers(&pairs));
    let found = members(&context);
    // At the limit on bytes, where the reference counts its commas otherwise, either is right.
    let bytes: usize = pairs.iter().map(|(_, value)| value.len() + 3).sum();
    if bytes < 8_000 {
        assert_eq!(found, expected_baggage(&pairs), "{pairs:?}");
    } else {
        let whole: Pairs = pairs
            .iter()
            .flat_map(|(name, value)| {
                value.split(|&b| b == b',').map(|part| (name.clone(), part.to_vec()))
            })
            .collect();
        for (key, member) in &found {
            let one = whole
                .iter()
                .any(|pair| expected_baggage(&vec![pair.clone()]).get(key) == Some(member));
            assert!(one, "{key} in {pairs:?}");
        }
    }
    let out = sent(&*propagator, &context);
    if let Some(header) = out.get("baggage") {
        assert!(header.len() <= 8192 && header.bytes().all(|b| b.is_ascii_graphic()), "{header:?}");
        // Replacement characters grow when they are encoded.
        if !header.contains("%EF%BF%BD") {
            assert_eq!(members(&resent(&*propagator, &out)), found, "{pairs:?}");
        }
    } else {
        assert!(found.is_empty());
    }
}

const SINGLES: &[&str] = &[
    "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
    "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d",
    "463ac35c9f6413ad-a2fb4a1d1a96d312-0",
    "463ac35c9f6413ad-a2fb4a1d1a96d312",
    "0",
    "1",
    "d",
    "00000000000000000000000000000000-0000000000000000-1",
];

/// Trace and span, and what was said of sampling: `0`, `1`, `d` or nothing.
type Caller = (Option<(String, String)>, String);

fn expected_ids(trace: &str, span: &str) -> Option<(String, String)> {
    let good = (is_id(trace, 16) || is_id(trace, 32)) && is_id(span, 16);
    good.then(|| (format!("{trace:0>32}"), span.to_owned()))
}

fn expected_single(pairs: &Pairs) -> Option<Caller> {
    let [value] = pairs.header_values("b3")[..] else { return None };
    let value = value.trim_matches(blank);
    let parts: Vec<&str> = value.split('-').collect();
    let state = |text: &str| ["0", "1", "d"].contains(&text).then(|| text.to_owned());
    match parts[..] {
        [one] => Some((None, state(one)?)),
        [trace, span] => Some((Some(expected_ids(trace, span)?), String::new())),
        [trace, span, it] => Some((Some(expected_ids(trace, span)?), state(it)?)),
        [trace, span, it, parent] if is_id(parent, 16) => {
            Some((Some(expected_ids(trace, span)?), state(it)?))
        }
        _ => None,
    }
}

/// What was read, against what should have been.
fn check_b3(pairs: &Pairs, expected: Option<Caller>) {
    let single = Propagator::B3.text_map();
    let multi = Propagator::B3Multi.text_map();
    let (context, span) = read(&*single, pairs);
    match expected {
        Some((Some((trace, id)), sampling)) => {
            let span = span.unwrap_or_else(|| panic!("refused: {pairs:?}"));
            assert_eq!(
                (span.trace_id().to_string(), span.span_id().to_string()),
                (trace.clone(), id.clone())
            );
            assert_eq!(span.is_sampled(), ["1", "d"].contains(&&*sampling), "{pairs:?}");
            let dash = if sampling.is_empty() { "" } else { "-" };
            let header = format!("{trace}-{id}{dash}{sampling}");
            let out = sent(&*single, &context);
            assert_eq!(out, BTreeMap::from([(String::from("b3"), header)]), "{pairs:?}");
            assert_eq!(sent(&*single, &resent(&*single, &out)), out);
            let several = sent(&*multi, &context);
            assert_eq!(sent(&*single, &resent(&*single, &several)), out, "{several:?}");
        }
        // A trace of its own that nobody records.
        Some((None, sampling)) if sampling == "0" => {
            assert!(span.is_some_and(|span| !span.is_sampled()), "{pairs:?}");
        }
        _ => assert_eq!(span, None, "{pairs:?}"),
    }
}

fn b3_single(random: &mut Random) {
    let pairs = headers(random, "b3", SINGLES);
    check_b3(&pairs, expected_single(&pairs));
}

fn expected_multi(pairs: &Pairs) -> Option<Caller> {
    let one = |name: &str| match pairs.header_values(name)[..] {
        [] => Ok(None),
        [value] => Ok(Some(value.trim_matches(blank).to_owned())),
        _ => Err(()),
    };
    let (trace, span) = (one("x-b3-traceid").ok()?, one("x-b3-spanid").ok()?);
    let (sampled, flags) = (one("x-b3-sampled").ok()?, one("x-b3-flags").ok()?);
    let parent = one("x-b3-parentspanid").ok()?;
    if parent.is_some_and(|parent| !is_id(&parent, 16)) {
        return None;
    }
    let sampling = match sampled.as_deref() {
        None => "",
        Some("0" | "false") => "0",
        Some("1" | "true") => "1",
        Some(_) => return None,
    };
    let sampling = if flags.as_deref() == Some("1") { "d" } else { sampling };
    match (trace, span) {
        (None, None) => Some((None, sampling.to_owned())),
        (Some(trace), Some(span)) => {
            Some((Some(expected_ids(&trace, &span)?), sampling.to_owned()))
        }
        _ => None,
    }
}

fn b3_multi(random: &mut Random) {
    let parts: &[(&str, &[&str])] = &[
        ("X-B3-TraceId", &["80f198ee56343ba864fe8b2a57d3eff7", "463ac35c9f6413ad"]),
        ("X-B3-SpanId", &["e457b5a2e4d86bd1", "a2fb4a1d1a96d312"]),
        ("X-B3-Sampled", &["1", "0", "true", "false"]),
        ("x-b3-flags", &["1", "0"]),
        ("X-B3-ParentSpanId", &["05e3ac9a4f6e3b90"]),
    ];
    let mut pairs = Pairs::new();
    for (name, seeds) in parts {
        match random.below(8) {
            0 => {}
            1 => pairs.extend(headers(random, name, seeds)),
            _ => pairs.push(((*name).to_owned(), random.of(seeds).as_bytes().to_vec())),
        }
    }
    check_b3(&pairs, expected_multi(&pairs));
}

/// The short version: always the same inputs.
fn briefly(fuzz: fn(&mut Random)) {
    let mut random = Random(20_261_121);
    (0..20_000).for_each(|_| fuzz(&mut random));
}

/// The long version: other inputs each time, the seed told.
fn at_length(name: &str, fuzz: fn(&mut Random)) {
    let seconds = std::env::var("REDSPAN_FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let (start, mut random, mut executions) = (Instant::now(), Random(seed), 0_u64);
    println!("{name}: seed {seed}");
    while start.elapsed() < Duration::from_secs(seconds.unwrap_or(600)) {
        (0..1_000).for_each(|_| fuzz(&mut random));
        executions += 1_000;
    }
    println!("{name}: {executions} executions in {:.0?}", start.elapsed());
}

macro_rules! fuzzed {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn nothing_malformed_is_accepted_and_nothing_is_lost() {
                super::briefly(super::$name);
            }

            #[test]
            #[ignore = "ten minutes"]
            fn nothing_malformed_is_accepted_at_length() {
                super::at_length(stringify!($name), super::$name);
            }
        }
    )*};
}

fuzzed! { traceparent tracestate baggage b3_single b3_multi }

/// A header of a megabyte in the shapes that invite nested loops: a square of that would be a
/// million million steps, and this test would not end.
#[test]
fn long_headers_cost_no_more_than_their_length() {
    const LENGTH: usize = 1 << 20;
    let shapes = [",", " ", "a", "a=1,", ";", "a=1;b", "-", "%", "%41", "0", "=", "\t,", "a@=1,"];
    for name in ["traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-sampled"] {
        for shape in shapes {
            let value = shape.repeat(LENGTH / shape.len());
            let parent = (String::from("traceparent"), PARENTS[0].as_bytes().to_vec());
            let own = (name.to_owned(), value.into_bytes());
            // And as very many short ones.
            let many = std::iter::repeat_n((name.to_owned(), shape.as_bytes().to_vec()), 10_000);
            for mut pairs in [vec![own], many.collect::<Pairs>()] {
                if name == "tracestate" {
                    pairs.push(parent.clone());
                }
                for propagator in [
                    Propagator::TraceContext,
                    Propagator::Baggage,
                    Propagator::B3,
                    Propagator::B3Multi,
                ] {
                    let propagator = propagator.text_map();
                    sent(&*propagator, &read(&*propagator, &pairs).0);
                }
            }
        }
    }
}

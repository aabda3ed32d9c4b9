//! From one process to the next: what `redspan::propagation` writes, reads and decides.

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use redspan::context::{Captured, link_to};
use redspan::propagation::{Extract, Inject, Propagator, caller, extract, inject};
use redspan::testing;
use redspan::{instrumented, log, sample};
use redspan_tests::process::{is_alone, run};
use redspan_tests::{Kept, Lines};
use std::collections::{BTreeMap, HashMap};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[instrumented]
fn handle() {
    tracing::info!("handled");
}

/// Sends a message from inside a call with this carrier, and handles it in another one.
fn there_and_back<C: Inject + Extract + Default>() {
    #[instrumented]
    fn produce<C: Inject + Default>() -> C {
        let mut carrier = C::default();
        let _baggage = Context::current().with_baggage([KeyValue::new("tenant", "é")]).attach();
        inject(&mut carrier);
        carrier
    }
    let ((), seen) = testing::scope(|| {
        let carrier: C = produce();
        Captured::from(extract(&carrier)).run(|| {
            assert_eq!(Context::current().baggage().get("tenant").unwrap().as_str(), "é");
            handle();
        });
        assert_eq!(caller(&carrier).unwrap().span_id(), seen_parent(&carrier));
    });
    let (produced, handled) = (seen.span("produce"), seen.span("handle"));
    assert_eq!(handled.parent_id(), Some(produced.span_id()));
    assert!(handled.parent_is_remote());
}

fn seen_parent(carrier: &impl Extract) -> opentelemetry::trace::SpanId {
    let header = carrier.header_values("TraceParent")[0].to_owned();
    opentelemetry::trace::SpanId::from_hex(&header[36..52]).unwrap()
}

#[test]
fn every_carrier_brings_the_context_over() {
    there_and_back::<http::HeaderMap>();
    there_and_back::<HashMap<String, String>>();
    there_and_back::<BTreeMap<String, Vec<u8>>>();
    there_and_back::<Vec<(String, Vec<u8>)>>();
    there_and_back::<tonic::metadata::MetadataMap>();
}

#[test]
fn a_second_parent_that_is_no_text_is_still_a_second_parent() {
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", CALLER.parse().unwrap());
    assert!(caller(&testing_is_set_up(&headers)).is_some());
    let no_text = http::HeaderValue::from_bytes(b"\xff").unwrap();
    headers.append("traceparent", no_text);
    assert_eq!(caller(&headers), None);
}

/// The global propagator is redspan's from the first scope on.
fn testing_is_set_up<T: Clone>(it: &T) -> T {
    testing::scope(|| it.clone()).0
}

#[test]
fn a_batch_links_to_the_callers_of_its_messages() {
    #[instrumented]
    fn batch(messages: &[Vec<(String, Vec<u8>)>]) {
        link_to(messages.iter().filter_map(caller));
    }
    let message = |parent: &str| vec![(String::from("traceparent"), parent.as_bytes().to_vec())];
    let ((), seen) =
        testing::scope(|| batch(&[message(CALLER), message("00-zzz"), message(CALLER)]));
    let batch = seen.span("batch");
    assert_eq!((batch.parent_id(), batch.data().links.len()), (None, 2));
}

#[test]
fn the_random_flag_is_the_callers_or_says_that_our_ids_are_random() {
    for (parent, flags) in [(None, "03"), (Some("01"), "01"), (Some("03"), "03")] {
        let mut headers: HashMap<String, String> = HashMap::new();
        if let Some(flags) = parent {
            headers.insert("traceparent".into(), format!("{}{flags}", &CALLER[..53]));
        }
        #[instrumented]
        fn relay() -> String {
            let mut headers: HashMap<String, String> = HashMap::new();
            inject(&mut headers);
            headers["traceparent"].clone()
        }
        let (sent, _) = testing::scope(|| Captured::from(extract(&headers)).run(relay));
        assert_eq!(&sent[53..], flags, "{parent:?}");
    }
}

/// What `handle` becomes below a caller that sent this `b3`.
fn below_b3(header: &str, root: impl sample::Sampler) -> Vec<testing::SeenSpan> {
    let headers: HashMap<String, String> = HashMap::from([("b3".into(), header.into())]);
    let scope = testing::sampled_by(sample::parent_based(root));
    let ((), seen) = scope.scope(|| {
        let context = Propagator::B3.text_map().extract_with_context(&Context::current(), &headers);
        Captured::from(context).run(handle);
    });
    assert_eq!(seen.calls("handle").ok, 1);
    seen.spans()
}

#[test]
fn a_b3_caller_that_has_not_decided_leaves_it_to_the_root_sampler() {
    let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    let spans = below_b3(ids, sample::AlwaysOn);
    assert_eq!(spans[0].trace_id().to_string(), ids[..32]);
    assert_eq!(spans[0].parent_id().unwrap().to_string(), ids[33..]);
    assert!(below_b3(ids, sample::AlwaysOff).is_empty());
    // One that has is followed.
    assert!(below_b3(&format!("{ids}-0"), sample::AlwaysOn).is_empty());
    assert_eq!(below_b3(&format!("{ids}-d"), sample::AlwaysOff).len(), 1);
    assert!(below_b3("0", sample::AlwaysOn).is_empty());
    assert_eq!(below_b3("1", sample::AlwaysOn)[0].parent_id(), None);
}

#[test]
fn only_baggage_on_the_list_is_copied() {
    if !is_alone("only_baggage_on_the_list_is_copied") {
        run("only_baggage_on_the_list_is_copied", &[]);
        return;
    }
    let (spans, lines) = (Kept::default(), Lines::default());
    let telemetry = redspan::builder()
        .baggage(["tenant", "absent"])
        .spans_to(spans.clone())
        .logs(log::layer().with_writer(lines.clone()))
        .install()
        .unwrap();
    let headers = HashMap::from([
        (String::from("traceparent"), String::from(CALLER)),
        (String::from("baggage"), String::from("tenant=a%0Ab,secret=x")),
    ]);
    Captured::from(extract(&headers)).run(handle);
    handle();
    Captured::from(extract(&headers)).run(|| {
        let tracer = opentelemetry::global::tracer("shop");
        let own = tracer.span_builder("own").with_attributes([KeyValue::new("tenant", "own")]);
        own.start(&tracer).end();
    });
    drop(telemetry);
    let spans = spans.0.lock().unwrap();
    let copied = |n: usize| spans[n].attributes.iter().find(|pair| pair.key.as_str() == "tenant");
    assert_eq!(copied(0).map(|pair| pair.value.clone()), Some("a\nb".into()));
    assert_eq!(copied(1), None);
    let own = copied(2).map(|pair| pair.value.clone());
    assert_eq!(own, Some("own".into()), "what the program says of its span stands");
    assert!(spans.iter().all(|span| span.attributes.iter().all(|it| it.key.as_str() != "secret")));
    let lines = lines.text();
    let tenants = lines.lines().filter(|line| line.contains(r#""tenant":"a\nb""#)).count();
    assert_eq!((tenants, lines.contains("secret")), (1, false), "{lines}");
}

#[test]
fn the_environment_says_which_headers_are_written() {
    let test = "the_environment_says_which_headers_are_written";
    if !is_alone(test) {
        for (said, written) in [
            ("", "traceparent"),
            ("b3", "b3"),
            ("b3multi,tracecontext", "traceparent x-b3-sampled x-b3-spanid x-b3-traceid"),
            ("tracecontext,jaeger", "traceparent"),
            ("none", ""),
        ] {
            let printed = run(test, &[("OTEL_PROPAGATORS", said.to_owned())]);
            assert!(printed.contains(&format!("written: [{written}]")), "{said}: {printed}");
            let warned = printed.contains(r#"\"jaeger\" in OTEL_PROPAGATORS is ignored"#);
            assert_eq!(warned, said.contains("jaeger"), "{printed}");
        }
        return;
    }
    let _telemetry = redspan::builder().spans_to(Kept::default()).install().unwrap();
    let headers = [("traceparent", CALLER), ("b3", "463ac35c9f6413ad-a2fb4a1d1a96d312-1")];
    let context = extract(&headers[..]);
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    Captured::from(context).run(|| inject(&mut out));
    let names: Vec<_> = out.into_keys().collect();
    println!("written: [{}]", names.join(" "));
}

//! The tail policy under load: a service with 10,000 local traces a second, a real OTLP receiver
//! and a real Prometheus. What the policy is there for arrives whole, nothing else is lost but by
//! its decision, and traces that never end take no more memory than they may.

#[path = "tail_load/endless.rs"]
mod endless;
#[path = "tail_load/service.rs"]
mod service;

use redspan_tests::process::{is_alone, run};
use redspan_tests::prometheus::Prometheus;
use redspan_tests::{Receiver, Span};
use service::{FATES, Fate, SLOW};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Each of the tests needs the machine for itself.
static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until `done`.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "still not {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn kept_because(span: &Span) -> Option<String> {
    span.attributes.get("redspan.kept").map(|why| match why {
        redspan_tests::Value::Text(why) => why.clone(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_the_policy_keeps_arrives_whole_at_10_000_traces_a_second() {
    let test = "what_the_policy_keeps_arrives_whole_at_10_000_traces_a_second";
    if is_alone(test) {
        return service::serve();
    }
    if !Prometheus::is_there() {
        return;
    }
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let receiver = Receiver::start();
    // Free now, and soon taken.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let prometheus = Prometheus::start(address, Duration::from_millis(150));
    let list = std::env::temp_dir().join(format!("redspan-tail-load-{}", std::process::id()));
    let said = run(
        test,
        &[
            ("ENDPOINT", receiver.http()),
            ("METRICS", address.to_string()),
            ("LIST", list.display().to_string()),
        ],
    );
    print!(
        "{}",
        said.lines().filter(|it| it.contains(": ")).fold(String::new(), |a, b| a + b + "\n")
    );
    let traces = service::read(&list);
    std::fs::remove_file(&list).unwrap();
    let spans = receiver.take();

    // Whole: each span once, and its parent too.
    let ids: HashSet<_> = spans.iter().map(|it| (&*it.trace_id, &*it.span_id)).collect();
    assert_eq!(ids.len(), spans.len(), "each span came once");
    let orphan = |it: &&Span| {
        !it.parent_id.is_empty() && !ids.contains(&(it.trace_id.as_str(), it.parent_id.as_str()))
    };
    let orphans: Vec<_> = spans.iter().filter(orphan).collect();
    assert!(orphans.is_empty(), "{} orphans: {:#?}", orphans.len(), orphans.first());
    let mut received: HashMap<&str, (u64, Option<String>)> = HashMap::new();
    for span in &spans {
        let (count, why) = received.entry(&span.trace_id).or_default();
        *count += 1;
        if let Some(kept) = kept_because(span) {
            assert!(span.parent_id.is_empty() && why.is_none(), "the root says it: {span:?}");
            *why = Some(kept);
        }
    }
    let mut table: BTreeMap<(Fate, String), u64> = BTreeMap::new();
    for (trace, &(fate, expected)) in &traces {
        let (count, why) = received.remove(trace.as_str()).unwrap_or_default();
        let why = why.unwrap_or_else(|| "dropped".to_owned());
        if why == "dropped" {
            assert_eq!((fate, count), (Fate::Fine, 0), "every grave trace is kept: {trace}");
        } else {
            assert_eq!(count, expected, "{trace}, {fate:?}, kept whole for {why}");
        }
        if fate != Fate::Fine {
            assert_eq!(why, fate.word(), "{trace}");
        }
        *table.entry((fate, why)).or_default() += 1;
    }
    assert_eq!(received.len(), 0, "traces that nobody began: {received:?}");
    println!("{} traces, {} spans received: {table:?}", traces.len(), spans.len());
    for fate in FATES {
        assert!(table.keys().any(|(it, _)| *it == fate), "none is {fate:?}");
    }

    // One in a hundred of the fine ones; a busy machine makes some of them slow.
    let count = |why: &str| table.get(&(Fate::Fine, why.to_owned())).copied().unwrap_or_default();
    let (by_ratio, dropped) = (count("ratio") as f64, count("dropped") as f64);
    let fine = by_ratio + dropped;
    let deviation = (fine * 0.01 * 0.99).sqrt();
    let off = (by_ratio - fine * 0.01) / deviation;
    println!("{by_ratio} of {fine} fine traces kept, {off:+.1} standard deviations off");
    assert!(off.abs() < 5.0);

    // Every exemplar that Prometheus has names a span that was received.
    prometheus.has_no_complaint();
    let exemplars = prometheus.exemplars("{job=\"service\"}");
    for exemplar in &exemplars {
        let (trace, span) = &exemplar.ids;
        assert!(ids.contains(&(trace.as_str(), span.as_str())), "dangles: {exemplar:?}");
    }
    let distinct: HashSet<_> = exemplars.iter().map(|it| &it.ids).collect();
    println!("{} exemplars of {} spans", exemplars.len(), distinct.len());
    assert!(distinct.len() >= 1_000);
    // And at least the slow ones have one that says so.
    let slow = exemplars.iter().filter(|it| it.value > SLOW.as_secs_f64());
    assert!(slow.count() > 0);
}

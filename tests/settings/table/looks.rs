//! Where an effect is seen.

use crate::seen::Seen;
use redspan_tests::{Heard, Record, Transport, Value};

fn words(words: &[(&str, bool)]) -> String {
    let present: Vec<_> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    present.join(" ")
}

pub(crate) fn signals(seen: &Seen) -> String {
    words(&[
        ("traces", seen.first("traces").is_some()),
        ("metrics", seen.first("metrics").is_some()),
        ("logs", seen.first("logs").is_some()),
    ])
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

pub(crate) fn service_name(seen: &Seen) -> String {
    let name = seen.span("work").map_or(String::new(), |it| text(it.resource.get("service.name")));
    // The executable's name ends in a hash.
    name.split('-').next().unwrap_or_default().to_owned()
}

pub(crate) fn team(seen: &Seen) -> String {
    seen.span("work").map_or(String::new(), |span| text(span.resource.get("team")))
}

pub(crate) fn injected(seen: &Seen) -> String {
    seen.said("injected")
}

pub(crate) fn works(seen: &Seen) -> String {
    seen.spans.iter().filter(|span| span.name == "work").count().to_string()
}

pub(crate) fn spans_where(seen: &Seen) -> String {
    // A tree begins with the trace.
    let printed =
        seen.out.lines().any(|line| line.starts_with("trace ") && line.contains("  work  "));
    words(&[("received", seen.span("work").is_some()), ("printed", printed)])
}

pub(crate) fn metrics_where(seen: &Seen) -> String {
    let printed = seen.out.lines().any(|line| line.starts_with("# TYPE function_calls"));
    words(&[
        ("received", seen.points > 0),
        ("page", !seen.said("page-at").is_empty()),
        ("printed", printed),
    ])
}

pub(crate) fn logs_where(seen: &Seen) -> String {
    let hello = |record: &Record| record.body == Value::Text("hello".into());
    words(&[
        ("received", seen.records.iter().any(hello)),
        ("printed", seen.out.contains("\"message\":\"hello\"")),
    ])
}

pub(crate) fn page_host(seen: &Seen) -> String {
    seen.said("page-at").split(':').next().unwrap_or_default().to_owned()
}

pub(crate) fn page_port(seen: &Seen) -> String {
    match seen.said("page-at").rsplit(':').next() {
        Some("9464") => "9464".into(),
        Some(_) => "free".into(),
        None => String::new(),
    }
}

pub(crate) fn exemplars(seen: &Seen) -> String {
    seen.said("exemplars")
}

/// Of the one request.
pub(crate) fn method(seen: &Seen) -> String {
    let mut methods = seen.spans.iter().map(|it| text(it.attributes.get("http.request.method")));
    methods.find(|method| !method.is_empty()).unwrap_or_default()
}

pub(crate) fn start_up_line(seen: &Seen) -> String {
    words(&[("told", seen.out.contains("sampled by"))])
}

pub(crate) fn lines(seen: &Seen) -> String {
    let has = |word: &str| seen.out.contains(&format!("\"message\":\"{word}\""));
    words(&[("hello", has("hello")), ("details", has("details"))])
}

fn protocol(heard: Option<&Heard>) -> &'static str {
    match heard {
        None => "",
        Some(heard) if heard.transport == Transport::Grpc => "grpc",
        Some(heard) if heard.headers["content-type"] == "application/json" => "json",
        Some(_) => "protobuf",
    }
}

pub(crate) fn traces_protocol(seen: &Seen) -> String {
    protocol(seen.first("traces")).into()
}

pub(crate) fn metrics_protocol(seen: &Seen) -> String {
    protocol(seen.first("metrics")).into()
}

pub(crate) fn all_protocols(seen: &Seen) -> String {
    let all = ["traces", "metrics", "logs"].map(|signal| protocol(seen.first(signal)));
    if all == [all[0]; 3] { all[0].into() } else { all.join("/") }
}

pub(crate) fn logs_protocol(seen: &Seen) -> String {
    protocol(seen.first("logs")).into()
}

/// Of traces, metrics and logs.
fn of_each(seen: &Seen, what: impl Fn(&Heard) -> Option<&String>) -> String {
    let of = |signal| seen.first(signal).and_then(&what).cloned().unwrap_or_default();
    ["traces", "metrics", "logs"].map(of).join("/")
}

pub(crate) fn headers(seen: &Seen) -> String {
    of_each(seen, |heard| heard.headers.get("x-a"))
}

pub(crate) fn packed(seen: &Seen) -> String {
    of_each(seen, |heard| heard.headers.get("content-encoding"))
}

pub(crate) fn dropped(seen: &Seen) -> String {
    seen.said("dropped")
}

pub(crate) fn queue_full(seen: &Seen) -> String {
    seen.said("dropped").contains("queue_full").to_string()
}

pub(crate) fn delta(seen: &Seen) -> String {
    seen.delta.to_string()
}

pub(crate) fn early(seen: &Seen) -> String {
    seen.said("early")
}

fn several(seen: &Seen, signal: &str) -> String {
    (seen.heard.iter().filter(|heard| heard.signal == signal).count() > 2).to_string()
}

pub(crate) fn several_requests(seen: &Seen) -> String {
    several(seen, "traces")
}

pub(crate) fn several_metrics(seen: &Seen) -> String {
    several(seen, "metrics")
}

/// More than those of the start, of a flush and of the end.
pub(crate) fn several_logs(seen: &Seen) -> String {
    (seen.heard.iter().filter(|heard| heard.signal == "logs").count() > 3).to_string()
}

pub(crate) fn logs_dropped(seen: &Seen) -> String {
    seen.said("logs-dropped")
}

fn of_large(seen: &Seen, count: impl Fn(&redspan_tests::Span) -> usize) -> String {
    seen.span("large").map_or(0, count).to_string()
}

pub(crate) fn attributes(seen: &Seen) -> String {
    of_large(seen, |span| span.attributes.len())
}

pub(crate) fn events(seen: &Seen) -> String {
    of_large(seen, |span| span.events.len())
}

pub(crate) fn links(seen: &Seen) -> String {
    of_large(seen, |span| span.links.len())
}

pub(crate) fn event_attributes(seen: &Seen) -> String {
    of_large(seen, |span| span.events.first().map_or(0, |event| event.attributes.len()))
}

pub(crate) fn link_attributes(seen: &Seen) -> String {
    of_large(seen, |span| span.links.first().map_or(0, |link| link.attributes.len()))
}

pub(crate) fn value_length(seen: &Seen) -> String {
    let text = seen.span("long").map_or(String::new(), |span| text(span.attributes.get("text")));
    text.chars().count().to_string()
}

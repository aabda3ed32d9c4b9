//! What spans, numbers and lines say of what happened.

use crate::plan::{Place, REDIRECTS};
use crate::world::{SAID, SERVER, Sent, Served, World};
use http::{Method, Version};
use opentelemetry::Value;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

/// What a line of the log says.
pub(crate) type Line = serde_json::Value;

/// Series of metrics, by name and labels.
pub(crate) type Numbers = BTreeMap<String, f64>;

fn series<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, String)>) -> String {
    format!("{name}{:?}", labels.into_iter().collect::<BTreeMap<_, _>>())
}

const SERVER_DURATION: &str = "http_server_request_duration_seconds_count";
const CLIENT_DURATION: &str = "http_client_request_duration_seconds_count";
const ASKED: [&str; 2] =
    ["http_server_request_body_size_bytes_count", "http_server_request_body_size_bytes_sum"];
const ANSWERED: [&str; 2] =
    ["http_server_response_body_size_bytes_count", "http_server_response_body_size_bytes_sum"];

/// What a page says of these, and the gauges that are not zero.
pub(crate) fn shown(page: &str) -> Numbers {
    let mut numbers = Numbers::new();
    for line in page.lines().filter(|line| line.starts_with("http_")) {
        let line = line.split(" # ").next().unwrap_or(line);
        let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
        let (labels, value) = rest.rsplit_once("\"} ").unwrap_or_else(|| panic!("{line}"));
        let labels = labels.split("\",").map(|label| label.split_once("=\"").unwrap());
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        let value: f64 = value.split(' ').next().unwrap_or_default().parse().unwrap();
        let is_gauge = name.ends_with("_active_requests") && value != 0.0;
        let names = [SERVER_DURATION, CLIENT_DURATION].into_iter().chain(ASKED).chain(ANSWERED);
        if is_gauge || names.into_iter().any(|it| it == name) {
            numbers.insert(series(name, labels), value);
        }
    }
    numbers
}

fn shown_method(method: &Method) -> (&str, &str) {
    if method == "BREW" { ("HTTP", "_OTHER") } else { (method.as_str(), method.as_str()) }
}

fn shown_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        _ => "2",
    }
}

/// What is exported, by the ids of spans and by what clients asked for.
struct Exported {
    by_id: HashMap<SpanId, Vec<SpanData>>,
    wrong: Vec<String>,
}

/// What has to be true of a span.
struct Expected<'a> {
    name: String,
    kind: SpanKind,
    own: SpanId,
    parent: &'a SpanContext,
    is_error: bool,
    link: Option<SpanId>,
    attributes: Vec<(&'static str, Option<Value>)>,
}

impl Exported {
    /// What is below another is of its trace, and sampled as that is.
    fn continues(&mut self, what: &dyn Debug, own: &SpanContext, parent: &SpanContext) {
        let [own, above] = [own, parent].map(|it| (it.trace_id(), it.is_sampled()));
        if parent.is_valid() && own != above {
            self.wrong.push(format!("{what:?} does not continue its parent: {own:?}"));
        }
    }

    fn compare(&mut self, what: &dyn Debug, expected: Expected<'_>) {
        let spans = self.by_id.remove(&expected.own).unwrap_or_default();
        let [span] = &spans[..] else {
            return self.wrong.push(format!("{what:?} has the spans {spans:?}"));
        };
        let trace = span.span_context.trace_id();
        let is_below = !expected.parent.is_valid() || trace == expected.parent.trace_id();
        let said = |key: &str| {
            let found = span.attributes.iter().find(|it| it.key.as_str() == key);
            found.map(|it| it.value.clone())
        };
        let differs = expected.attributes.iter().find(|(key, value)| said(key) != *value);
        let is = (&*span.name, &span.span_kind, span.parent_span_id, is_below);
        let has_to_be = (&*expected.name, &expected.kind, expected.parent.span_id(), true);
        let is_error = matches!(span.status, Status::Error { .. });
        let links = span.links.iter().map(|link| link.span_context.span_id());
        let is_linked = links.eq(expected.link);
        if is != has_to_be || is_error != expected.is_error || !is_linked || differs.is_some() {
            let what = format!("{what:?}: {differs:?}, {is:?} is to be {has_to_be:?}");
            self.wrong.push(format!("{what}: {span:?}"));
        }
    }
}

/// As attributes have an outcome.
fn told(outcome: &str) -> Option<Value> {
    ["panic", "cancelled"].contains(&outcome).then(|| outcome.to_owned().into())
}

impl Served {
    fn compared(&self, exported: &mut Exported, numbers: &mut Numbers, lines: &mut Vec<Line>) {
        let (outcome, error) = self.outcome();
        let seen = self.see(|seen| seen.clone());
        if seen.status.is_some() && seen.answered_id.as_ref() != Some(&seen.id) {
            exported.wrong.push(format!("{self:?} has another id in its answer"));
        }
        if self.replaced().is_some_and(|status| seen.status != Some(status)) {
            exported.wrong.push(format!("{self:?} is answered otherwise"));
        }
        if self.place == Place::LeftOut {
            return;
        }
        let own = seen.own.unwrap();
        let none = SpanContext::empty_context();
        let parent = self.parent.as_ref().unwrap_or(&none);
        let route = self.place.route();
        let (named, method) = shown_method(&self.method);
        exported.continues(self, &own, parent);
        if own.is_sampled() {
            let expected = Expected {
                name: route.map_or(named.to_owned(), |route| format!("{named} {route}")),
                kind: SpanKind::Server,
                own: own.span_id(),
                parent,
                is_error: matches!(outcome, "error" | "panic"),
                link: None,
                attributes: vec![
                    ("http.response.status_code", seen.status.map(|it| i64::from(it).into())),
                    ("http.route", route.map(Value::from)),
                    ("http.request.method", Some(method.to_owned().into())),
                    ("error.type", error.clone().map(Value::from)),
                    ("redspan.outcome", told(outcome)),
                ],
            };
            exported.compare(self, expected);
        }
        let labels = [
            ("http_request_method", Some(method.to_owned())),
            ("url_scheme", Some("http".to_owned())),
            ("network_protocol_version", Some(shown_version(self.version).to_owned())),
            ("http_route", route.map(str::to_owned)),
            ("http_response_status_code", seen.status.map(|it| it.to_string())),
            ("error_type", error.clone()),
        ];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut add = |name, value| {
            *numbers.entry(series(name, labels.clone())).or_default() += value;
        };
        add(SERVER_DURATION, 1.0);
        let is_answered = seen.sent > 0
            || error.is_none()
            || (outcome == "error" && error == seen.status.map(|it| it.to_string()));
        let sizes = [(ASKED, seen.read, seen.read > 0), (ANSWERED, seen.sent, is_answered)];
        for ([count, sum], bytes, _) in sizes.into_iter().filter(|it| it.2) {
            add(count, 1.0);
            add(sum, bytes as f64);
        }
        lines.push(serde_json::json!({
            "request_id": seen.id,
            "trace_id": own.trace_id().to_string(),
            "span_id": own.span_id().to_string(),
            "url.path": Some(self.place.path(self.number)).filter(|path| !path.is_empty()),
            "http.request.method": self.method.as_str(),
            "http.route": route,
            "http.response.status_code": seen.status,
            "http.response.body.size": seen.sent,
            "outcome": outcome,
            "error.type": error,
        }));
    }
}

impl Sent {
    fn compared(&self, world: &World, exported: &mut Exported, numbers: &mut Numbers) {
        let port = SERVER.get().unwrap().port();
        let url = format!("http://127.0.0.1:{port}{}", self.path);
        let (named, method) = shown_method(&self.method);
        let answer = *self.answer.lock().unwrap();
        let status = answer.and_then(Result::ok).map(|it| it.0);
        let (outcome, error) = match answer {
            None => ("cancelled", Some("cancelled".to_owned())),
            Some(Err(word)) => ("error", Some(word.to_owned())),
            Some(Ok((status @ 400.., _))) => ("error", Some(status.to_string())),
            Some(Ok(_)) => ("ok", None),
        };
        let is_it = |span: &&SpanData| {
            let of = span.attributes.iter().find(|it| it.key.as_str() == "url.full");
            of.is_some_and(|of| of.value == Value::from(url.clone()))
                && span.parent_span_id == self.parent.span_id()
        };
        let own = exported.by_id.values().flatten().find(is_it).cloned();
        let id = own.as_ref().map_or(self.parent.span_id(), |it| it.span_context.span_id());
        if self.parent.is_sampled() {
            let expected = Expected {
                name: self.template.map_or(named.to_owned(), |it| format!("{named} {it}")),
                kind: SpanKind::Client,
                own: id,
                parent: &self.parent,
                is_error: outcome == "error",
                link: None,
                attributes: vec![
                    ("http.response.status_code", status.map(|it| i64::from(it).into())),
                    ("url.template", self.template.map(Value::from)),
                    ("http.request.method", Some(method.to_owned().into())),
                    ("error.type", error.clone().map(Value::from)),
                    ("redspan.outcome", told(outcome)),
                ],
            };
            exported.compare(self, expected);
        }
        let mut moved = 0;
        for served in world.served.iter().filter(|it| it.number == self.number) {
            let from = served.parent.as_ref().map(|it| (it.trace_id(), it.span_id()));
            if from != Some((self.parent.trace_id(), id)) {
                exported.wrong.push(format!("{served:?} is not below {self:?}"));
            }
            let status = served.see(|seen| seen.status);
            moved += usize::from(status.is_some_and(|it| REDIRECTS.contains(&it)));
        }
        if let (Some(status), Some(own)) = (status, own) {
            let events = own.events.iter().filter(|event| event.name == "http.redirect").count();
            // What cannot be sent twice is not redirected.
            if events + usize::from(REDIRECTS.contains(&status)) != moved {
                exported.wrong.push(format!("{self:?}, {status}: {events} of {moved} redirects"));
            }
        }
        let labels = [
            ("http_request_method", Some(method.to_owned())),
            ("url_scheme", Some("http".to_owned())),
            ("server_address", Some("127.0.0.1".to_owned())),
            ("server_port", Some(port.to_string())),
            (
                "network_protocol_version",
                answer.and_then(Result::ok).map(|it| shown_version(it.1).to_owned()),
            ),
            ("http_response_status_code", status.map(|it| it.to_string())),
            ("error_type", error),
        ];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, value?)));
        *numbers.entry(series(CLIENT_DURATION, labels)).or_default() += 1.0;
    }
}

/// All that is wrong with what was exported.
pub(crate) fn compared(
    world: &World,
    spans: Vec<SpanData>,
    lines: Vec<Line>,
    numbers: &mut Numbers,
    shown: &Numbers,
) -> Vec<String> {
    let mut exported = Exported { by_id: HashMap::new(), wrong: world.wrong.clone() };
    for span in spans {
        exported.by_id.entry(span.span_context.span_id()).or_default().push(span);
    }
    for call in &world.calls {
        exported.continues(call, &call.own, &call.parent);
        if call.own.is_sampled() {
            let expected = Expected {
                name: call.name.to_owned(),
                kind: SpanKind::Internal,
                own: call.own.span_id(),
                parent: &call.parent,
                is_error: false,
                link: call.link.as_ref().map(SpanContext::span_id),
                attributes: Vec::new(),
            };
            exported.compare(call, expected);
        }
    }
    for sent in &world.sent {
        sent.compared(world, &mut exported, numbers);
    }
    let mut expected = Vec::new();
    for served in &world.served {
        served.compared(&mut exported, numbers, &mut expected);
    }
    let Exported { by_id, mut wrong } = exported;
    wrong.extend(by_id.values().flatten().map(|span| format!("nobody began {span:?}")));
    for line in lines {
        if line["message"] == "request completed" {
            let is_it =
                |it: &Line| it.as_object().unwrap().iter().all(|(key, is)| line[key] == *is);
            match expected.iter().position(is_it) {
                Some(at) => drop(expected.swap_remove(at)),
                None => wrong.push(format!("no request is {line}")),
            }
        } else if line["target"] == SAID
            && [("trace", "trace_id"), ("span", "span_id"), ("id", "request_id")]
                .iter()
                .any(|(is, said)| line[is] != line[said])
        {
            wrong.push(format!("it names something else: {line}"));
        }
    }
    wrong.extend(expected.iter().map(|line| format!("no line is {line}")));
    let differs = |(name, value): (&String, &f64), others: &Numbers| {
        let other = others.get(name).copied();
        (other != Some(*value)).then(|| format!("{name} is {value} here, and {other:?} there"))
    };
    wrong.extend(numbers.iter().filter_map(|it| differs(it, shown)));
    wrong.extend(shown.iter().filter_map(|it| differs(it, numbers)));
    wrong
}

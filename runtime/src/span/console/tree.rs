//! One trace as text.

use crate::log::steers;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::time::Duration;

/// How many attributes a line shows, and how many characters of a text.
const MAX_ATTRIBUTES: usize = 4;
const MAX_TEXT: usize = 60;
/// From here on the tree grows downwards only: indentation would fill the screen.
const MAX_INDENT: usize = 30;

/// What the error of a call says, and where: the event the specification has for it.
const EXCEPTION: &str = "exception";

struct Line<'a> {
    span: &'a SpanData,
    /// What stands in front of its children's branches.
    prefix: String,
    last: bool,
    depth: usize,
}

/// The tree of `spans`, all of one trace. `late`: a part of the trace was printed before.
pub(super) fn render(trace: TraceId, spans: &[SpanData], late: bool, colour: bool) -> String {
    let ink = Ink(colour);
    let known: HashSet<SpanId> = spans.iter().map(|span| span.span_context.span_id()).collect();
    let mut children: HashMap<SpanId, Vec<&SpanData>> = HashMap::new();
    let mut tops = Vec::new();
    for span in spans {
        if known.contains(&span.parent_span_id) {
            children.entry(span.parent_span_id).or_default().push(span);
        } else {
            tops.push(span);
        }
    }
    // Ids that go round in a circle leave no top: any will do.
    tops.extend(spans.first().filter(|_| tops.is_empty()));
    let mut text = format!("{} {}", ink.bold("trace"), ink.dim(&trace.to_string()));
    let mut stack = Vec::new();
    // The root shares the line of the trace; several tops, or one whose parent is missing, do not.
    match tops[..] {
        [top] if top.parent_span_id == SpanId::INVALID || top.parent_span_is_remote => {
            text.push_str("  ");
            describe(top, true, &ink, &mut text);
            text.push('\n');
            push_children(&mut stack, children.remove(&top.span_context.span_id()), "", 0);
        }
        _ => {
            let rooted = tops.iter().any(|top| top.parent_span_id == SpanId::INVALID);
            let note = match () {
                () if late => "  (late)",
                () if rooted => "",
                () => "  (incomplete)",
            };
            let _ = writeln!(text, "{}", ink.dim(note));
            push_children(&mut stack, Some(tops), "", 0);
        }
    }
    // A stack, not recursion: the depth is the program's, not ours.
    while let Some(Line { span, prefix, last, depth }) = stack.pop() {
        text.push_str(&ink.dim(&format!("{prefix}{}", if last { "└─ " } else { "├─ " })));
        describe(span, false, &ink, &mut text);
        text.push('\n');
        let bar = match () {
            () if depth >= MAX_INDENT => "",
            () if last => "   ",
            () => "│  ",
        };
        // Taken out, so that a circle of ids ends here.
        let below = children.remove(&span.span_context.span_id());
        push_children(&mut stack, below, &format!("{prefix}{bar}"), depth + 1);
    }
    text
}

fn push_children<'a>(
    stack: &mut Vec<Line<'a>>,
    children: Option<Vec<&'a SpanData>>,
    prefix: &str,
    depth: usize,
) {
    let mut children = children.unwrap_or_default();
    children.sort_by_key(|span| span.start_time);
    let count = children.len();
    // The first has to come off the stack first.
    for (position, span) in children.into_iter().enumerate().rev() {
        let last = position + 1 == count;
        stack.push(Line { span, prefix: prefix.to_owned(), last, depth });
    }
}

/// Name, kind, duration, how it ended, a few attributes, its events.
fn describe(span: &SpanData, root: bool, ink: &Ink, text: &mut String) {
    let name = clean(&span.name);
    text.push_str(&if root { ink.bold(&name) } else { name });
    let mut add = |part: String| {
        text.push_str("  ");
        text.push_str(&part);
    };
    if let Some(kind) = kind(&span.span_kind) {
        add(ink.cyan(kind));
    }
    let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
    add(ink.green(&duration(took)));
    if let Some(ending) = ending(span) {
        add(ink.red(&ending));
    }
    let (mut shown, mut hidden) = (0, 0);
    for attribute in span.attributes.iter().filter(|it| is_telling(it.key.as_str())) {
        if shown == MAX_ATTRIBUTES {
            hidden += 1;
            continue;
        }
        shown += 1;
        let value = clean(&attribute.value.as_str());
        add(ink.dim(&format!("{}={value}", clean(attribute.key.as_str()))));
    }
    if hidden > 0 {
        add(ink.dim(&format!("+{hidden}")));
    }
    match span.events.iter().filter(|event| event.name != EXCEPTION).count() {
        0 => {}
        1 => add(ink.dim("1 event")),
        events => add(ink.dim(&format!("{events} events"))),
    }
    if root && span.parent_span_is_remote {
        add(ink.dim(&format!("from {}", span.parent_span_id)));
    }
}

fn kind(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Internal => None,
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    }
}

/// How it ended, unless well: the outcome if it is more than an error, and the reason.
fn ending(span: &SpanData) -> Option<String> {
    let find = |key: &&str| span.attributes.iter().find(|it| it.key.as_str() == *key);
    let outcome = OUTCOMES.iter().find_map(find).map(|it| it.value.as_str());
    let word = match (outcome.as_deref(), &span.status) {
        (Some(outcome), _) if !["ok", "error"].contains(&outcome) => clean(outcome),
        (_, Status::Error { .. }) => "error".to_owned(),
        _ => return None,
    };
    let described = match &span.status {
        Status::Error { description } if !description.is_empty() => Some(clean(description)),
        _ => None,
    };
    let reason = described.or_else(|| {
        let exception = span.events.iter().find(|event| event.name == EXCEPTION)?;
        let message =
            exception.attributes.iter().find(|it| it.key.as_str() == "exception.message")?;
        Some(clean(&message.value.as_str()))
    });
    // A reason that repeats the word says nothing more.
    match reason.filter(|reason| *reason != word) {
        Some(reason) => Some(format!("{word}: {reason}")),
        None => Some(word),
    }
}

const OUTCOMES: [&str; 2] = ["outcome", "redspan.outcome"];

/// Whether an attribute tells a reader something that the line does not say already.
fn is_telling(key: &str) -> bool {
    let silent = ["code.", "thread.", "exception."].iter().any(|prefix| key.starts_with(prefix));
    !silent && !OUTCOMES.contains(&key) && !SAID.contains(&key)
}

/// What the name of an HTTP span says, and what follows from its URL.
const SAID: [&str; 6] = [
    "http.request.method",
    "http.route",
    "network.protocol.version",
    "server.address",
    "server.port",
    "url.scheme",
];

/// Three digits are enough to compare by eye.
fn duration(took: Duration) -> String {
    let nanos = took.as_nanos();
    let scaled = |unit: f64, name: &str| {
        let value = took.as_secs_f64() * unit;
        let digits = match value {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        let number = format!("{value:.digits$}");
        let number = if number.contains('.') {
            number.trim_end_matches('0').trim_end_matches('.')
        } else {
            &number
        };
        format!("{number}{name}")
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => scaled(1e6, "µs"),
        1_000_000..1_000_000_000 => scaled(1e3, "ms"),
        1_000_000_000..60_000_000_000 => scaled(1.0, "s"),
        _ => format!("{}m{:02}s", took.as_secs() / 60, took.as_secs() % 60),
    }
}

/// One line that cannot steer the terminal: what a span holds may come from a stranger's request.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == MAX_TEXT {
            clean.push('…');
            break;
        }
        if steers(letter) {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// Colours, or none.
struct Ink(bool);

impl Ink {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.paint("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, text) in [
            (0, "0ns"),
            (850, "850ns"),
            (40_000, "40µs"),
            (1_234_000, "1.23ms"),
            (12_400_000, "12.4ms"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (100_000_000_000, "1m40s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_text_cannot_break_the_line_or_steer_the_terminal() {
        assert_eq!(clean("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(clean(&"x".repeat(100)).chars().count(), MAX_TEXT + 1);
    }
}

//! A service as a reader of the docs writes it, whose list of names was written down before it ran: spans,
//! attributes, events, metrics and labels are those, in a test's scope, on the page and over OTLP.

use futures_core::Stream;
use redspan::testing::{self, SeenSpan};
use redspan::{ErrorType, Instrumented, Label, instrumented};
use redspan_tests::{Receiver, Span, Value, page, process};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Label)]
enum Branch {
    North,
    OldTown,
}

#[derive(Clone, Copy, Label)]
#[label(rename_all = "kebab-case")]
enum Card {
    Child,
    DayGuest,
    #[label("staff")]
    Librarian,
}

#[derive(Clone, Copy, Label)]
enum Term {
    Short,
    Long,
}

struct Initials(char, char);
impl fmt::Display for Initials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.0, self.1)
    }
}

#[derive(Debug, thiserror::Error, ErrorType)]
enum CatalogueError {
    #[error("no answer within {0} ms")]
    #[error_type(retryable)]
    Timeout(u32),
}

#[derive(Debug, thiserror::Error, ErrorType)]
#[error_type(client)]
enum LendError {
    #[error("no book {0}")]
    UnknownBook(u64),
    #[error("{count} books are too many")]
    #[error_type("limit", level = "info")]
    TooMany { count: usize },
    #[error("the catalogue failed")]
    Catalogue(#[from] CatalogueError),
    #[error("the ledger cannot be written")]
    #[error_type(server)]
    Ledger(#[source] std::io::Error),
}

struct Loan {
    term: Term,
}

#[derive(Instrumented)]
#[instrumented(name = "lending.desk")]
struct Desk {
    #[instrumented(attribute = "library.branch", label)]
    branch: Branch,
    #[instrumented(attribute)]
    counter: u16,
    #[instrumented(label = "automated")]
    robot: bool,
    #[instrumented(attribute = "desk.clerk")]
    clerk: Initials,
    password: String,
}

struct Shelf(u64);
impl Stream for Shelf {
    type Item = Result<u64, LendError>;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 = self.0.saturating_sub(1);
        Poll::Ready((self.0 > 0).then_some(Ok(self.0)))
    }
}

#[instrumented]
impl Desk {
    fn open(branch: Branch, robot: bool) -> Self {
        Desk { branch, counter: 7, robot, clerk: Initials('A', 'L'), password: "hunter2".into() }
    }

    #[instrumented(
        fields(book.id = book, reader),
        labels(card, term = |loan| loan.as_ref().ok().map(|loan: &Loan| loan.term)),
        slo(latency = "100ms", target = 99),
        slo(success, target = 99.9, name = "lending")
    )]
    async fn lend(&self, book: u64, reader: &str, card: Card) -> Result<Loan, LendError> {
        tokio::task::yield_now().await;
        match book {
            0 => Err(LendError::UnknownBook(book)),
            1 => Err(CatalogueError::Timeout(30))?,
            2 => Err(LendError::Ledger(std::io::Error::other("disk full"))),
            3 => panic!("the stamp broke"),
            4 => std::future::pending().await,
            _ => Ok(Loan { term: if book < 100 { Term::Short } else { Term::Long } }),
        }
    }

    #[instrumented(none = "error", fields(title, words = title.split(' ').count()), level = "debug")]
    fn find(&self, title: &str) -> Option<u64> {
        (title == "Emma").then_some(17)
    }

    fn take_back(&mut self, books: Vec<u64>) -> Result<usize, LendError> {
        self.counter += 1;
        let count = self.inspect(&books)?;
        Ok(count)
    }

    fn inspect(&self, books: &[u64]) -> Result<usize, LendError> {
        if books.len() > 2 {
            Err(LendError::TooMany { count: books.len() })
        } else {
            Ok(books.len())
        }
    }

    #[instrumented(kind = "client", busy)]
    fn reserve<'a>(
        &'a self,
        books: &'a [u64],
    ) -> impl Future<Output = Result<usize, anyhow::Error>> + 'a {
        async move {
            let number: usize = "nine".parse()?;
            Ok(number + books.len())
        }
    }

    fn overdue(&self) -> Pin<Box<dyn Future<Output = Vec<u64>> + Send + '_>> {
        Box::pin(async move { vec![1] })
    }

    #[instrumented(labels(format = "paper"))]
    fn walk(&self, number: u64) -> impl Stream<Item = Result<u64, LendError>> + use<> {
        Shelf(number)
    }

    #[instrumented(error_if = |fine| *fine > 10.0, fields(days = ?days))]
    fn fine<D: Into<f64> + Copy + fmt::Debug>(&self, days: D) -> f64 {
        days.into() * 0.5
    }

    #[instrumented(name = "stamp the card", kind = "producer", labels(card = capped(card, 1)), log)]
    fn stamp(self: Arc<Self>, card: String) -> usize {
        card.len()
    }

    #[instrumented(off)]
    fn motto(&self) -> &'static str {
        "silence"
    }
}

trait Clerk {
    fn greet(&self, name: &str) -> impl Future<Output = String> + Send;
}

#[instrumented(level = "warn")]
impl Clerk for Desk {
    async fn greet(&self, name: &str) -> String {
        tracing::info!(counter = self.counter, "greeting");
        format!("good day, {name}")
    }
}

/// One of each: results, errors with and without something inside, a panic, and a future that is dropped.
async fn work() {
    let mut desk = Desk::open(Branch::OldTown, true);
    for (book, card) in
        [(5, Card::Child), (0, Card::Child), (1, Card::DayGuest), (2, Card::Librarian)]
    {
        let _ = desk.lend(book, "ann", card).await;
    }
    let other = Arc::new(Desk::open(Branch::North, false));
    let mut breaks = Box::pin(other.lend(3, "bob", Card::Child));
    let mut context = Context::from_waker(Waker::noop());
    assert!(breaks.as_mut().poll(&mut context).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| breaks.as_mut().poll(&mut context))).is_err());
    drop(breaks);
    let mut waits = Box::pin(desk.lend(4, "ann", Card::Child));
    assert!(waits.as_mut().poll(&mut context).is_pending());
    drop(waits);
    assert_eq!((desk.find("Emma"), desk.find("Persuasion again")), (Some(17), None));
    assert!(desk.take_back(vec![1, 2, 3]).is_err());
    assert!(desk.reserve(&[1]).await.is_err());
    // Never polled, so no calls.
    drop((desk.overdue(), desk.walk(3), desk.reserve(&[])));
    assert_eq!(desk.overdue().await, [1]);
    let mut walk = std::pin::pin!(desk.walk(3));
    while std::future::poll_fn(|context| walk.as_mut().poll_next(context)).await.is_some() {}
    assert_eq!(desk.fine(30), 15.0);
    assert_eq!((other.clone().stamp("one".into()), other.stamp("another".into())), (3, 7));
    assert_eq!(desk.greet("ann").await, "good day, ann");
    assert_eq!((desk.motto(), desk.password.len()), ("silence", 7));
}

/// `name kind status key=value …; event key=value …`: all but how long and on which line.
fn line(
    head: String,
    attributes: impl Iterator<Item = (String, String)>,
    events: impl Iterator<Item = (String, Vec<(String, String)>)>,
) -> String {
    let listed = |pairs: &mut Vec<(String, String)>| {
        pairs.retain(|(key, _)| key != "code.line.number" && key != "code.file.path");
        pairs.sort();
        let pair = |(key, value): &(String, String)| match key.ends_with("_ns") {
            true => format!(" {key}"),
            false => format!(" {key}={value}"),
        };
        pairs.iter().map(pair).collect::<String>()
    };
    let mut line = head + &listed(&mut attributes.collect());
    for (name, mut pairs) in events {
        line += &format!("; {name}{}", listed(&mut pairs));
    }
    line
}

fn seen_line(span: &SeenSpan) -> String {
    let data = span.data();
    let pair = |pair: &redspan::KeyValue| (pair.key.to_string(), pair.value.to_string());
    let kind = format!("{:?}", span.kind()).to_lowercase();
    let status = match span.status() {
        redspan::Status::Error { description } => format!("error({description})"),
        _ => String::from("unset"),
    };
    let events = data.events.iter();
    let events = events.map(|event| {
        (event.name.to_string(), event.attributes.iter().map(pair).collect::<Vec<_>>())
    });
    line(format!("{} {kind} {status}", span.name()), span.attributes().iter().map(pair), events)
}

fn received_line(span: &Span) -> String {
    fn text(value: &Value) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::List(values) => {
                let quoted: Vec<String> =
                    values.iter().map(|it| format!("{:?}", text(it))).collect();
                format!("[{}]", quoted.join(","))
            }
            Value::Other => String::from("?"),
        }
    }
    let pairs = |from: &BTreeMap<String, Value>| {
        from.iter().map(|(key, value)| (key.clone(), text(value))).collect::<Vec<_>>()
    };
    let status = match span.status {
        "error" => format!("error({})", span.status_message),
        other => other.to_owned(),
    };
    let events = span.events.iter().map(|event| (event.name.clone(), pairs(&event.attributes)));
    line(
        format!("{} {} {status}", span.name, span.kind),
        pairs(&span.attributes).into_iter(),
        events,
    )
}

/// Without the labels that say the same of every function.
fn plain(series: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = series
        .map(|line| {
            let line = line.replace("module=\"one_service\",", "");
            line.replace(",service_name=\"\"", "").replace(",service_name=\"library\"", "")
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn a_scope_shows_the_list() {
    let ((), seen) = testing::scope_async(work()).await;
    let spans: Vec<String> = seen.spans().iter().map(seen_line).collect();
    assert_eq!(spans.join("\n"), SPANS.trim());
    let calls = seen.series().into_iter().filter(|line| line.starts_with("function_calls"));
    assert_eq!(plain(calls), SERIES.trim());
    // The line of the `fn`, whatever stands above it.
    let place = seen.spans_named("Desk::find")[0].attribute("code.line.number");
    let line =
        include_str!("one_service.rs").lines().position(|line| line.contains("fn find(&self"));
    assert_eq!(place, line.map(|line| (line as i64 + 1).into()));
    seen.assert_nothing_outside();
}

#[test]
fn the_page_and_otlp_show_the_list() {
    let receiver = Receiver::start();
    let variables = [
        ("OTEL_SERVICE_NAME", "library".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json".to_owned()),
        ("OTEL_TRACES_EXPORTER", "otlp,console".to_owned()),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "0".to_owned()),
        // Or `find` has no span: its level is debug.
        ("RUST_LOG", "debug".to_owned()),
    ];
    if process::is_alone("the_page_and_otlp_show_the_list") {
        let telemetry = redspan::init!().unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(work());
        let page =
            page::get(telemetry.metrics_address().unwrap(), "/metrics", Duration::from_secs(9));
        for line in page.unwrap().lines() {
            println!("page {}", line.split(" # ").next().unwrap_or_default());
        }
        assert!(telemetry.shutdown(Duration::from_secs(9)));
        return;
    }
    let printed = process::run("the_page_and_otlp_show_the_list", &variables);

    let received: Vec<String> = receiver.take().iter().map(received_line).collect();
    let sorted = |lines: &mut Vec<String>| {
        lines.sort();
        lines.join("\n")
    };
    let expected = sorted(&mut SPANS.trim().lines().map(str::to_owned).collect());
    assert_eq!(sorted(&mut received.clone()), expected);

    let on_page = printed.lines().filter_map(|line| line.strip_prefix("page ")).filter(|line| {
        let counted = line.starts_with("function_calls_total{") || line.contains("_seconds_count{");
        line.starts_with("function_calls") && counted && !line.ends_with(" 0")
    });
    assert_eq!(plain(on_page.map(str::to_owned)), SERIES.trim());

    // The last totals, by the names that OTLP has for them.
    let mut last = BTreeMap::new();
    for point in receiver.take_points() {
        let (name, value) = match point.name.as_str() {
            "function.calls" => ("function_calls_total", point.value as u64),
            "function.calls.duration" => ("function_calls_duration_seconds_count", point.count),
            _ => continue,
        };
        let labels = point.attributes.keys().map(|key| {
            let name = if key == "service.name" { "service_name" } else { key };
            format!("{name}={:?}", point.attribute(key))
        });
        let labels: Vec<String> = labels.collect();
        last.insert(format!("{name}{{{}}}", labels.join(",")), value);
    }
    let counted = last.iter().filter(|(_, value)| **value > 0);
    assert_eq!(plain(counted.map(|(series, value)| format!("{series} {value}"))), SERIES.trim());

    for shown in
        ["Desk::reserve  client", "error: no book 0", "stamp the card  producer", "cancelled"]
    {
        assert!(printed.contains(shown), "{shown} is not on the console:\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "a field without an attribute leaves nothing");
}

const SPANS: &str = r#"
Desk::open internal unset code.function.name=one_service::Desk::open component=lending.desk
Desk::lend internal unset book.id=5 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. library.branch=old_town reader=ann
Desk::lend internal error(no book 0) book.id=0 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. error.type=unknown_book library.branch=old_town reader=ann redspan.error.blame=client; exception exception.message=no book 0 exception.type=one_service::LendError level=WARN
Desk::lend internal error(the catalogue failed) book.id=1 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. error.type=timeout library.branch=old_town reader=ann redspan.error.blame=server redspan.error.retryable=true; exception exception.message=the catalogue failed exception.type=one_service::LendError level=ERROR redspan.exception.chain=["no answer within 30 ms"]
Desk::lend internal error(the ledger cannot be written) book.id=2 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. error.type=ledger library.branch=old_town reader=ann redspan.error.blame=server; exception exception.message=the ledger cannot be written exception.type=one_service::LendError level=ERROR redspan.exception.chain=["disk full"]
Desk::open internal unset code.function.name=one_service::Desk::open component=lending.desk
Desk::lend internal error(panic) book.id=3 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. error.type=panic library.branch=north reader=bob redspan.outcome=panic
Desk::lend internal unset book.id=4 code.function.name=one_service::Desk::lend component=lending.desk counter=7 desk.clerk=A.L. library.branch=old_town reader=ann redspan.outcome=cancelled
Desk::find internal unset code.function.name=one_service::Desk::find component=lending.desk counter=7 desk.clerk=A.L. library.branch=old_town title=Emma words=1
Desk::find internal error() code.function.name=one_service::Desk::find component=lending.desk counter=7 desk.clerk=A.L. error.type=none library.branch=old_town title=Persuasion again words=2
Desk::inspect internal error(3 books are too many) code.function.name=one_service::Desk::inspect component=lending.desk counter=8 desk.clerk=A.L. error.type=limit library.branch=old_town redspan.error.blame=client; exception exception.message=3 books are too many exception.type=one_service::LendError level=INFO
Desk::take_back internal error(3 books are too many) code.function.name=one_service::Desk::take_back component=lending.desk counter=7 desk.clerk=A.L. error.type=limit library.branch=old_town redspan.error.blame=client
Desk::reserve client error(invalid digit found in string) busy_ns code.function.name=one_service::Desk::reserve component=lending.desk counter=8 desk.clerk=A.L. error.type=core::num::error::ParseIntError idle_ns library.branch=old_town redspan.polls=1; exception exception.message=invalid digit found in string exception.type=core::num::error::ParseIntError
Desk::overdue internal unset code.function.name=one_service::Desk::overdue component=lending.desk counter=8 desk.clerk=A.L. library.branch=old_town
Desk::walk internal unset code.function.name=one_service::Desk::walk component=lending.desk counter=8 desk.clerk=A.L. library.branch=old_town
Desk::fine internal error() code.function.name=one_service::Desk::fine component=lending.desk counter=8 days=30 desk.clerk=A.L. error.type=_OTHER library.branch=old_town
stamp the card producer unset code.function.name=one_service::Desk::stamp component=lending.desk counter=7 desk.clerk=A.L. library.branch=north
stamp the card producer unset code.function.name=one_service::Desk::stamp component=lending.desk counter=7 desk.clerk=A.L. library.branch=north
<Desk as Clerk>::greet internal unset code.function.name=one_service::<Desk as Clerk>::greet component=lending.desk counter=8 desk.clerk=A.L. library.branch=old_town; greeting counter=8 level=INFO target=one_service
"#;

/// Only `function_calls_concurrent` is not in the list: nobody is in a call any more.
const SERIES: &str = r#"
function_calls_duration_seconds_count{automated="false",branch="north",card="__overflow__",function="Desk::stamp"} 1
function_calls_duration_seconds_count{automated="false",branch="north",card="child",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99"} 1
function_calls_duration_seconds_count{automated="false",branch="north",card="one",function="Desk::stamp"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",card="child",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99",term="none"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",card="child",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99",term="short"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",card="child",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",card="day-guest",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99",term="none"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",card="staff",function="Desk::lend",objective_latency_threshold="0.1",objective_name="lending",objective_percentile="99",term="none"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",format="paper",function="Desk::walk"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="<Desk as Clerk>::greet"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::find"} 2
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::fine"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::inspect"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::overdue"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::reserve"} 1
function_calls_duration_seconds_count{automated="true",branch="old_town",function="Desk::take_back"} 1
function_calls_duration_seconds_count{function="Desk::open"} 2
function_calls_total{automated="false",branch="north",card="__overflow__",function="Desk::stamp",outcome="ok",result="ok"} 1
function_calls_total{automated="false",branch="north",card="child",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="panic",result="error"} 1
function_calls_total{automated="false",branch="north",card="one",function="Desk::stamp",outcome="ok",result="ok"} 1
function_calls_total{automated="true",branch="old_town",card="child",error_type="unknown_book",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="error",result="error",term="none"} 1
function_calls_total{automated="true",branch="old_town",card="child",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="cancelled",result="cancelled"} 1
function_calls_total{automated="true",branch="old_town",card="child",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="ok",result="ok",term="short"} 1
function_calls_total{automated="true",branch="old_town",card="day-guest",error_type="timeout",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="error",result="error",term="none"} 1
function_calls_total{automated="true",branch="old_town",card="staff",error_type="ledger",function="Desk::lend",objective_name="lending",objective_percentile="99.9",outcome="error",result="error",term="none"} 1
function_calls_total{automated="true",branch="old_town",error_type="_OTHER",function="Desk::fine",outcome="error",result="error"} 1
function_calls_total{automated="true",branch="old_town",error_type="core::num::error::ParseIntError",function="Desk::reserve",outcome="error",result="error"} 1
function_calls_total{automated="true",branch="old_town",error_type="limit",function="Desk::inspect",outcome="error",result="error"} 1
function_calls_total{automated="true",branch="old_town",error_type="limit",function="Desk::take_back",outcome="error",result="error"} 1
function_calls_total{automated="true",branch="old_town",error_type="none",function="Desk::find",outcome="error",result="error"} 1
function_calls_total{automated="true",branch="old_town",format="paper",function="Desk::walk",outcome="ok",result="ok"} 1
function_calls_total{automated="true",branch="old_town",function="<Desk as Clerk>::greet",outcome="ok",result="ok"} 1
function_calls_total{automated="true",branch="old_town",function="Desk::find",outcome="ok",result="ok"} 1
function_calls_total{automated="true",branch="old_town",function="Desk::overdue",outcome="ok",result="ok"} 1
function_calls_total{function="Desk::open",outcome="ok",result="ok"} 2
"#;

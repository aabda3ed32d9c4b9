//! What fails, and how, is the same in span, counter and line: an axum handler that answers 500, a method of
//! a tonic service that returns `INTERNAL`, an anyhow error three levels deep, and an `Option` marked
//! `none = "error"`.

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use opentelemetry::trace::Status;
use opentelemetry::{Array, Value};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_sdk::trace::SpanData;
use redspan::{Telemetry, instrumented};
use redspan_tests::{Kept, Lines};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

struct Installed {
    telemetry: Telemetry,
    spans: Kept,
    lines: Lines,
}

static INSTALLED: LazyLock<Installed> = LazyLock::new(|| {
    let (spans, lines) = (Kept::default(), Lines::default());
    let telemetry = redspan::builder()
        .spans_to(spans.clone())
        .logs(redspan::log::layer().with_writer(lines.clone()))
        .install()
        .unwrap();
    Installed { telemetry, spans, lines }
});

/// What span, counter and line say of the one call of a function.
struct Said {
    span: SpanData,
    counted: String,
    line: serde_json::Value,
}

fn said_of(function: &str) -> Said {
    let Installed { telemetry, spans, lines } = &*INSTALLED;
    let _ = telemetry.flush(Duration::from_secs(5));
    let spans = spans.0.lock().unwrap();
    let named: Vec<_> = spans.iter().filter(|span| span.name == function).collect();
    let [span] = named[..] else { panic!("{} spans of {function}", named.len()) };
    let page = redspan::recorder().render_openmetrics();
    let label = format!("function=\"{function}\"");
    let counted = page.lines().filter(|line| {
        line.starts_with("function_calls_total") && line.contains(&label) && !line.ends_with(" 0")
    });
    // Without the exemplar.
    let counted: Vec<_> = counted.map(|line| line.split(" # ").next().unwrap()).collect();
    let [counted] = counted[..] else { panic!("{counted:?}") };
    let text = lines.text();
    let mut of_function = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["function"] == function);
    let line = of_function.next().unwrap_or_else(|| panic!("no line of {function}: {text}"));
    assert!(of_function.next().is_none());
    Said { span: span.clone(), counted: counted.to_owned(), line }
}

impl Said {
    fn attribute(&self, key: &str) -> Option<Value> {
        let mut attributes = self.span.attributes.iter();
        attributes.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.clone())
    }

    fn failed_as(&self, error_type: &str, message: Option<&str>, chain: &[&str]) {
        assert!(matches!(self.span.status, Status::Error { .. }), "{:?}", self.span.status);
        assert_eq!(self.attribute("error.type"), Some(error_type.to_owned().into()));
        let exception = self.span.events.iter().find(|event| event.name == "exception");
        let about = |key: &str| {
            let mut attributes = exception?.attributes.iter();
            attributes.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.clone())
        };
        assert_eq!(about("exception.message"), message.map(|it| it.to_owned().into()));
        let texts: Vec<_> = chain.iter().map(|text| (*text).to_owned().into()).collect();
        let expected = (!chain.is_empty()).then_some(Value::Array(Array::String(texts)));
        assert_eq!(about("redspan.exception.chain"), expected);

        let counted = &self.counted;
        for label in ["result=\"error\"", "outcome=\"error\""] {
            assert!(counted.contains(label) && counted.ends_with(" 1"), "{counted}");
        }
        assert!(counted.contains(&format!("error_type=\"{error_type}\"")), "{counted}");

        let line = &self.line;
        assert_eq!((&line["outcome"], &line["error.type"]), (&"error".into(), &error_type.into()));
        assert_eq!(line["exception.message"], serde_json::json!(message), "{line}");
        let chain = (!chain.is_empty()).then(|| chain.join(": "));
        assert_eq!(line["redspan.exception.chain"], serde_json::json!(chain), "{line}");
        assert_eq!(line["span_id"], self.span.span_context.span_id().to_string());
    }
}

#[instrumented(log)]
async fn stock() -> (StatusCode, &'static str) {
    (StatusCode::INTERNAL_SERVER_ERROR, "no stock to tell of")
}

#[instrumented(log)]
async fn item() -> Result<&'static str, StatusCode> {
    Err(StatusCode::NOT_FOUND)
}

#[instrumented(log)]
async fn shelf() -> axum::response::Result<&'static str> {
    Err((StatusCode::NOT_FOUND, "no such shelf"))?
}

#[tokio::test]
async fn an_axum_handler_that_answers_500() {
    LazyLock::force(&INSTALLED);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/stock", get(stock)).route("/item", get(item));
    let app = app.route("/shelf", get(shelf)).layer(redspan::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (path, status) in [("stock", 500), ("item", 404), ("shelf", 404)] {
        let answer = reqwest::get(format!("http://{address}/{path}")).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    said_of("stock").failed_as("500", None, &[]);

    // A server that answers 404 has done its work.
    for item in [said_of("item"), said_of("shelf")] {
        assert_eq!(item.span.status, Status::Unset);
        assert!(item.counted.contains("outcome=\"ok\""));
        assert_eq!(item.line["outcome"], "ok");
        assert_eq!(item.attribute("error.type"), None);
    }
}

struct Full;

#[tonic::async_trait]
#[instrumented(log)]
impl TraceService for Full {
    async fn export(
        &self,
        _: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        Err(tonic::Status::internal("the disk is full"))
    }
}

#[tokio::test]
async fn a_tonic_method_that_returns_internal() {
    LazyLock::force(&INSTALLED);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Full));
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.unwrap();
    let status = client.export(ExportTraceServiceRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    let message = status.to_string();
    said_of("<Full as TraceService>::export").failed_as("INTERNAL", Some(&message), &[]);
}

fn connect() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, "refused by 10.0.0.7"))
}

#[instrumented(log)]
fn settle() -> anyhow::Result<()> {
    connect().context("no connection to the bank").context("order 17 is not settled")
}

#[test]
fn an_anyhow_error_three_levels_deep() {
    LazyLock::force(&INSTALLED);
    assert!(settle().is_err());
    let root = std::any::type_name::<io::Error>();
    let chain = ["no connection to the bank", "refused by 10.0.0.7"];
    said_of("settle").failed_as(root, Some("order 17 is not settled"), &chain);
}

#[instrumented(log, none = "error")]
fn find(id: u64) -> Option<u64> {
    (id > 0).then_some(id)
}

#[test]
fn an_option_where_none_is_an_error() {
    LazyLock::force(&INSTALLED);
    assert_eq!(find(0), None);
    said_of("find").failed_as("none", None, &[]);
}

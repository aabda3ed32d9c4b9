//! A service of a struct, an `impl` of ten methods and an error enum exports exactly what its annotations say.

use futures_core::Stream;
use redspan::testing::{self, SeenSpan};
use redspan::{ErrorType, Instrumented, Label, SpanContext, instrumented};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
}

#[derive(Clone, Copy, Label)]
enum Plan {
    Free,
    Paid,
}

#[derive(Instrumented)]
#[instrumented(name = "payments")]
struct Payments {
    #[instrumented(attribute = "cloud.region", label)]
    region: Region,
    #[instrumented(attribute)]
    shard: u32,
    secret: String,
    charges: Vec<u64>,
}

#[derive(Debug, thiserror::Error, ErrorType)]
enum ChargeError {
    #[error("card declined")]
    #[error_type(client)]
    CardDeclined,
    #[error("gateway is away")]
    #[error_type(retryable)]
    Gateway(#[source] std::io::Error),
    #[error("{cents} is over the limit")]
    #[error_type("limit", client, level = "info")]
    OverLimit { cents: u64 },
}

#[instrumented]
impl Payments {
    const LIMIT: u64 = 1_000;

    fn open(region: Region) -> Self {
        Payments { region, shard: 3, secret: String::from("secret"), charges: vec![20, 40] }
    }

    #[instrumented(fields(cents), kind = "client", slo(latency = "250ms", target = 99.9))]
    async fn charge(&self, cents: u64) -> Result<u64, ChargeError> {
        match cents {
            0 => Err(ChargeError::CardDeclined),
            1 => Err(ChargeError::Gateway(std::io::Error::other("cut"))),
            cents if cents > Self::LIMIT => Err(ChargeError::OverLimit { cents }),
            cents => Ok(self.fee(cents)),
        }
    }

    #[instrumented(name = "fee", level = "debug")]
    fn fee(&self, cents: u64) -> u64 {
        cents / 10
    }

    #[instrumented(none = "error", fields(charge.id = id))]
    fn find(&self, id: usize) -> Option<u64> {
        self.charges.get(id).copied()
    }

    #[instrumented(labels(plan))]
    async fn subscribe(&mut self, plan: Plan) {
        self.charges.push(u64::from(matches!(plan, Plan::Paid)));
    }

    #[instrumented(error_if = |sum| *sum == 0)]
    fn sum(&self) -> u64 {
        self.charges.iter().sum()
    }

    fn settle(&self) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(async move { self.charges.len() })
    }

    #[instrumented(span = false)]
    fn is_open(&self) -> bool {
        true
    }

    #[instrumented(metrics = false)]
    fn dump(&self) -> usize {
        self.secret.len()
    }

    fn close(self: Box<Self>) {}

    #[instrumented(off)]
    fn is_secret(&self) -> bool {
        !self.secret.is_empty()
    }
}

/// `name key=value …`, without what is said of the place in the code.
fn line(span: &SeenSpan) -> String {
    let attributes = span.attributes().iter();
    let shown = attributes.filter(|pair| !pair.key.as_str().starts_with("code."));
    let mut shown: Vec<String> =
        shown.map(|pair| format!(" {}={}", pair.key, pair.value)).collect();
    shown.sort();
    format!("{}{}", span.name(), shown.concat())
}

#[tokio::test]
async fn it_exports_exactly_the_given_list() {
    let ((), seen) = testing::scope_async(async {
        let mut payments = Payments::open(Region::Eu);
        assert!(payments.is_secret() && payments.is_open());
        payments.charge(20).await.unwrap();
        for cents in [0, 1, 2_000] {
            payments.charge(cents).await.unwrap_err();
        }
        assert_eq!((payments.find(0), payments.find(9)), (Some(20), None));
        payments.subscribe(Plan::Paid).await;
        payments.subscribe(Plan::Free).await;
        assert_eq!((payments.sum(), payments.settle().await, payments.dump()), (61, 4, 6));
        Box::new(payments).close();
        Payments { charges: Vec::new(), ..Payments::open(Region::Us) }.sum();
    })
    .await;

    let eu = "cloud.region=eu component=payments";
    let failed = |kind: &str, more: &str| {
        format!("component=payments error.type={kind} redspan.error.blame={more} shard=3")
    };
    let expected = [
        String::from("Payments::open component=payments"),
        format!("fee {eu} shard=3"),
        String::from("Payments::charge cents=20 cloud.region=eu component=payments shard=3"),
        format!("Payments::charge cents=0 cloud.region=eu {}", failed("card_declined", "client")),
        format!(
            "Payments::charge cents=1 cloud.region=eu {}",
            failed("gateway", "server redspan.error.retryable=true")
        ),
        format!("Payments::charge cents=2000 cloud.region=eu {}", failed("limit", "client")),
        format!("Payments::find charge.id=0 {eu} shard=3"),
        format!("Payments::find charge.id=9 {eu} error.type=none shard=3"),
        format!("Payments::subscribe {eu} shard=3"),
        format!("Payments::subscribe {eu} shard=3"),
        format!("Payments::sum {eu} shard=3"),
        format!("Payments::settle {eu} shard=3"),
        format!("Payments::dump {eu} shard=3"),
        format!("Payments::close {eu} shard=3"),
        String::from("Payments::open component=payments"),
        String::from("Payments::sum cloud.region=us component=payments error.type=_OTHER shard=3"),
    ];
    let spans: Vec<String> = seen.spans().iter().map(line).collect();
    assert_eq!(spans, expected);

    let declined = &seen.spans_named("Payments::charge")[1];
    assert_eq!(declined.attribute("code.function.name"), Some("service::Payments::charge".into()));

    // Without the labels that say of every function where it is.
    let of_calls = seen.series().into_iter().filter(|line| line.starts_with("function_calls"));
    let plain = of_calls.map(|line| {
        line.replace("module=\"service\",", "").replace(",service_name=\"\"", "") + "\n"
    });
    assert_eq!(plain.collect::<String>(), SERIES);
}

/// Only `function_calls_concurrent` is not in the list: nobody is in a call any more.
const SERIES: &str = r#"function_calls_duration_seconds_count{function="Payments::charge",objective_latency_threshold="0.25",objective_name="Payments::charge",objective_percentile="99.9",region="eu"} 4
function_calls_duration_seconds_count{function="Payments::close",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::fee",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::find",region="eu"} 2
function_calls_duration_seconds_count{function="Payments::is_open",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::open"} 2
function_calls_duration_seconds_count{function="Payments::settle",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::subscribe",plan="free",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::subscribe",plan="paid",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::sum",region="eu"} 1
function_calls_duration_seconds_count{function="Payments::sum",region="us"} 1
function_calls_total{error_type="_OTHER",function="Payments::sum",outcome="error",region="us",result="error"} 1
function_calls_total{error_type="card_declined",function="Payments::charge",outcome="error",region="eu",result="error"} 1
function_calls_total{error_type="gateway",function="Payments::charge",outcome="error",region="eu",result="error"} 1
function_calls_total{error_type="limit",function="Payments::charge",outcome="error",region="eu",result="error"} 1
function_calls_total{error_type="none",function="Payments::find",outcome="error",region="eu",result="error"} 1
function_calls_total{function="Payments::charge",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::close",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::fee",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::find",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::is_open",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::open",outcome="ok",result="ok"} 2
function_calls_total{function="Payments::settle",outcome="ok",region="eu",result="ok"} 1
function_calls_total{function="Payments::subscribe",outcome="ok",plan="free",region="eu",result="ok"} 1
function_calls_total{function="Payments::subscribe",outcome="ok",plan="paid",region="eu",result="ok"} 1
function_calls_total{function="Payments::sum",outcome="ok",region="eu",result="ok"} 1
"#;

#[instrumented]
#[async_trait::async_trait]
trait Shelf: Send + Sync {
    async fn held(&self, id: u32) -> Result<u32, std::fmt::Error>;

    async fn is_held(&self, id: u32) -> bool {
        self.held(id).await.is_ok()
    }
}

struct Wooden;

#[instrumented(level = "debug")]
#[async_trait::async_trait]
impl Shelf for Wooden {
    #[instrumented(fields(id))]
    async fn held(&self, id: u32) -> Result<u32, std::fmt::Error> {
        tokio::task::yield_now().await;
        if id == 0 { Err(std::fmt::Error) } else { Ok(id) }
    }
}

struct Empty;

#[instrumented]
#[async_trait::async_trait]
impl Shelf for Empty {
    #[instrumented(off)]
    async fn held(&self, _: u32) -> Result<u32, std::fmt::Error> {
        Err(std::fmt::Error)
    }
}

#[tokio::test]
async fn above_async_trait_it_is_as_below() {
    let (held, seen) = testing::scope_async(async {
        let shelves: [Box<dyn Shelf>; 2] = [Box::new(Wooden), Box::new(Empty)];
        [shelves[0].is_held(3).await, shelves[0].is_held(0).await, shelves[1].is_held(1).await]
    })
    .await;
    assert_eq!(held, [true, false, false]);
    assert_eq!(seen.calls("Shelf::is_held").ok, 3);
    assert_eq!(
        (seen.calls("<Wooden as Shelf>::held").ok, seen.calls("<Wooden as Shelf>::held").error),
        (1, 1)
    );
    let inner = seen.spans_named("<Wooden as Shelf>::held");
    assert_eq!(inner[0].attribute("id"), Some(3.into()));
    assert_eq!(seen.parent_of(&inner[0]).unwrap().name(), "Shelf::is_held");
    assert_eq!(seen.spans().len(), 5);
}

struct Items(Vec<u8>);

impl Stream for Items {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u8>> {
        Poll::Ready(self.0.pop())
    }
}

async fn halves(text: String) -> usize {
    text.len() / 2
}

struct Nobody;

// What they return holds neither the receiver nor the arguments as they came.
#[instrumented]
impl Payments {
    #[instrumented(labels(plan, tenant = capped(tenant, 2)), links(cause))]
    fn items(
        &self,
        plan: Plan,
        tenant: String,
        cause: SpanContext,
    ) -> impl Stream<Item = u8> + use<> {
        Items(tenant.into_bytes())
    }

    #[instrumented(labels(tenant = capped(tenant, 2)))]
    fn half(&self, tenant: String) -> Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(halves(tenant))
    }

    fn detached(&self) -> impl Future<Output = u8> + Send + use<> {
        async move { 1 }
    }

    fn nothing() -> impl Future<Output = u8> + Send + use<> {
        std::future::ready(1)
    }
}

#[instrumented]
impl Nobody {
    fn ready(&self) -> impl Future<Output = u8> + Send + use<> {
        std::future::ready(1)
    }
}

#[tokio::test]
async fn what_is_polled_later_says_what_its_service_and_its_options_said() {
    let cause = testing::scope(|| redspan::span("cause").in_scope(|_| ())).1;
    let cause = cause.span("cause").data().span_context.clone();
    let ((), seen) = testing::scope_async(async {
        let payments = Payments::open(Region::Us);
        let items = payments.items(Plan::Paid, "acme".to_owned(), cause.clone());
        // Not polled, and so no call.
        drop(payments.items(Plan::Free, "zeta".to_owned(), cause.clone()));
        let (half, detached) = (payments.half("acme".to_owned()), payments.detached());
        drop((payments.half("never".to_owned()), payments.detached(), payments));
        let mut items = std::pin::pin!(items);
        while std::future::poll_fn(|context| items.as_mut().poll_next(context)).await.is_some() {}
        assert_eq!(
            (half.await, tokio::spawn(redspan_tests::carried(detached)).await.unwrap()),
            (2, 1)
        );
        assert_eq!((Payments::nothing().await, Nobody.ready().await), (1, 1));
    })
    .await;
    let us = "cloud.region=us component=payments shard=3";
    let spans: Vec<String> = seen.spans().iter().map(line).collect();
    let expected = ["items", "half", "detached"].map(|name| format!("Payments::{name} {us}"));
    assert_eq!(spans[1..4], expected);
    assert_eq!(spans[4..], ["Payments::nothing component=payments", "Nobody::ready"]);
    let items = seen.span("Payments::items");
    let linked = &items.data().links;
    assert_eq!(linked.iter().next().map(|link| &link.span_context), Some(&cause));
    let calls = |labels: &[(&str, &str)]| seen.counter("function_calls_total", labels);
    let items = [("function", "Payments::items"), ("region", "us")];
    assert_eq!(calls(&[&items[..], &[("plan", "paid"), ("tenant", "acme")]].concat()), Some(1));
    assert_eq!(calls(&items), Some(1), "one of them was polled");
    assert_eq!(calls(&[("function", "Payments::half"), ("tenant", "acme")]), Some(1));
    assert_eq!(calls(&[("function", "Payments::detached"), ("region", "us")]), Some(1));
}

/// As a framework hands over what a handler works with.
struct State<T>(T);

#[instrumented(service = payments, labels(plan))]
async fn handler(State(payments): State<std::sync::Arc<Payments>>, plan: Plan) -> usize {
    payments.charges.len()
}

#[instrumented(service = payments)]
fn later(payments: &Payments) -> impl Future<Output = usize> + Send + use<> {
    std::future::ready(payments.charges.len())
}

#[instrumented(service = payments)]
fn block(payments: &Payments) -> impl Future<Output = u8> + Send + use<> {
    async move { 1 }
}

#[instrumented]
impl Payments {
    #[instrumented(off)]
    async fn batch(&self) -> u64 {
        let first = redspan::measured!("batch.first", service = self, { self.charges[0] });
        let second = async move { self.charges[1] };
        first
            + redspan::measured!("batch.second", service = self, async move { second.await }).await
    }

    #[instrumented(service = other)]
    fn of_another(&self, other: &Payments) -> u64 {
        self.sum() - other.sum()
    }
}

#[tokio::test]
async fn what_is_no_method_takes_over_what_the_service_says_that_it_names() {
    let ((), seen) = testing::scope_async(async {
        let payments = std::sync::Arc::new(Payments::open(Region::Us));
        assert_eq!(handler(State(payments.clone()), Plan::Paid).await, 2);
        assert_eq!((later(&payments).await, block(&payments).await), (2, 1));
        assert_eq!(payments.batch().await, 60);
        assert_eq!(payments.of_another(&Payments::open(Region::Eu)), 0);
    })
    .await;
    for name in ["handler", "later", "block", "batch.first", "batch.second"] {
        let span = seen.span(name);
        assert_eq!(line(&span), format!("{name} cloud.region=us component=payments shard=3"));
        let labels = [("function", name), ("region", "us")];
        assert_eq!(seen.counter("function_calls_total", &labels), Some(1), "{name}");
    }
    let region = seen.span("Payments::of_another").attribute("cloud.region");
    assert_eq!(region, Some("eu".into()), "the one that is named");
    let labels = [("function", "handler"), ("plan", "paid"), ("region", "us")];
    assert_eq!(seen.counter("function_calls_total", &labels), Some(1));
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[instrumented]
impl tower_service::Service<u64> for Payments {
    type Response = u64;
    type Error = ChargeError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ChargeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, amount: u64) -> Self::Future {
        self.charges.push(amount);
        Box::pin(async move {
            tokio::task::yield_now().await;
            if amount == 0 { Err(ChargeError::CardDeclined) } else { Ok(amount) }
        })
    }
}

#[tokio::test]
async fn a_future_that_the_block_gives_a_name_is_measured_to_its_end() {
    use tower_service::Service as _;
    let ((), seen) = testing::scope_async(async {
        let mut payments = Payments::open(Region::Us);
        payments.call(17).await.unwrap();
        payments.call(0).await.unwrap_err();
        let mut given_up: Boxed<_> = payments.call(18);
        assert!(
            given_up.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
        );
        drop(given_up);
        drop(payments.call(19));
    })
    .await;
    let call = "<Payments as Service<u64>>::call";
    let calls = seen.calls(call);
    assert_eq!((calls.ok, calls.error, calls.cancelled), (1, 1, 1), "{calls:?}");
    assert_eq!(seen.spans_named(call).len(), 3);
    let span = &seen.spans_named(call)[0];
    assert_eq!(line(span), format!("{call} cloud.region=us component=payments shard=3"));
}

//! A service of a struct, an `impl` and an error enum exports exactly what its annotations say.

use redspan::testing::{self, SeenSpan};
use redspan::{ErrorType, Instrumented, Label, instrumented};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
}

#[derive(Instrumented)]
#[instrumented(name = "payments")]
struct Payments {
    #[instrumented(attribute = "cloud.region", label)]
    region: Region,
    #[instrumented(attribute)]
    shard: u32,
    secret: String,
}

#[derive(Debug, thiserror::Error, ErrorType)]
enum ChargeError {
    #[error("card declined")]
    #[error_type(client)]
    CardDeclined,
    #[error("gateway is away")]
    #[error_type(retryable)]
    Gateway(#[source] std::io::Error),
}

#[instrumented]
impl Payments {
    const LIMIT: u64 = 1_000;

    fn open(region: Region) -> Self {
        Payments { region, shard: 3, secret: String::from("secret") }
    }

    #[instrumented(fields(cents))]
    async fn charge(&self, cents: u64) -> Result<u64, ChargeError> {
        match cents {
            0 => Err(ChargeError::CardDeclined),
            cents if cents > Self::LIMIT => Err(ChargeError::Gateway(std::io::Error::other("cut"))),
            cents => Ok(self.fee(cents)),
        }
    }

    #[instrumented(name = "fee", level = "debug")]
    fn fee(&self, cents: u64) -> u64 {
        cents / 10
    }

    #[instrumented(off)]
    fn is_secret(&self) -> bool {
        !self.secret.is_empty()
    }

    fn close(self: Box<Self>) {}
}

fn keys(span: &SeenSpan) -> BTreeSet<&str> {
    let keys = span.attributes().iter().map(|pair| pair.key.as_str());
    keys.filter(|key| !key.starts_with("code.")).collect()
}

#[tokio::test]
async fn it_exports_exactly_the_given_list() {
    let ((), seen) = testing::scope_async(async {
        let payments = Payments::open(Region::Eu);
        assert!(payments.is_secret());
        payments.charge(20).await.unwrap();
        payments.charge(0).await.unwrap_err();
        payments.charge(2_000).await.unwrap_err();
        Box::new(payments).close();
        Payments::open(Region::Us);
    })
    .await;
    let names: BTreeSet<String> = seen.spans().iter().map(|span| span.name().to_owned()).collect();
    let expected = ["Payments::charge", "Payments::close", "Payments::open", "fee"];
    assert_eq!(names, expected.map(str::to_owned).into());

    let of = |name: &str| seen.spans_named(name);
    assert_eq!(keys(&of("Payments::open")[0]), ["component"].into());
    let shared = ["cloud.region", "component", "shard"];
    assert_eq!(keys(&of("fee")[0]), shared.into());
    assert_eq!(keys(&of("Payments::close")[0]), shared.into());
    let [charged, declined, away] = &of("Payments::charge")[..] else { panic!() };
    let with = |more: &[&'static str]| shared.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(keys(charged), with(&["cents"]));
    assert_eq!(keys(declined), with(&["cents", "error.type", "redspan.error.blame"]));
    let retryable = ["cents", "error.type", "redspan.error.blame", "redspan.error.retryable"];
    assert_eq!(keys(away), with(&retryable));
    for (key, value) in [
        ("component", "payments"),
        ("cloud.region", "eu"),
        ("error.type", "card_declined"),
        ("redspan.error.blame", "client"),
        ("code.function.name", "service::Payments::charge"),
    ] {
        assert_eq!(declined.attribute(key), Some(value.into()), "{key}");
    }
    assert_eq!(charged.attribute("shard"), Some(3.into()));
    assert_eq!(away.attribute("error.type"), Some("gateway".into()));

    let counted = |function: &str, labels: &[(&str, &str)]| {
        let all: Vec<_> = [("function", function)].iter().chain(labels).copied().collect();
        // The histogram does not tell outcomes and errors apart.
        let told = |&(key, _): &(&str, &str)| key != "outcome" && key != "error_type";
        let held: Vec<_> = all.iter().copied().filter(told).collect();
        let duration = seen.histogram("function_calls_duration_seconds", &held);
        (seen.counter("function_calls_total", &all), duration.map(|seconds| seconds.count))
    };
    for (function, labels, calls, all) in [
        ("Payments::charge", &[("region", "eu"), ("outcome", "ok")][..], 1, 3),
        ("Payments::charge", &[("region", "eu"), ("error_type", "card_declined")], 1, 3),
        ("Payments::charge", &[("region", "eu"), ("error_type", "gateway")], 1, 3),
        ("Payments::charge", &[("region", "us"), ("outcome", "ok")], 0, 0),
        ("Payments::fee", &[("region", "eu"), ("outcome", "ok")], 1, 1),
        ("Payments::close", &[("region", "eu"), ("outcome", "ok")], 1, 1),
        ("Payments::open", &[("outcome", "ok")], 2, 2),
    ] {
        assert_eq!(counted(function, labels), (Some(calls), Some(all)), "{function} {labels:?}");
    }
    assert_eq!(seen.counter("function_calls_total", &[("function", "Payments::is_secret")]), None);
    assert_eq!(
        seen.counter("function_calls_total", &[("function", "Payments::open"), ("region", "eu")]),
        None,
        "no receiver, no labels"
    );
}

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

//! Where no attribute may stand: blocks, `async` blocks and closures as calls.

use opentelemetry::trace::SpanKind;
use redspan::testing::{scope, scope_async};
use redspan::{Status, measured};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
    type Parsed = Result<u32, std::num::ParseIntError>;
    let number = measured!("parse", fields(length = text.len()), -> Parsed {
        let text = text.trim();
        if text.is_empty() {
            return Ok(0);
        }
        let number = text.parse()?;
            Ok(number)
    })?;
    Ok(number + 1)
}

#[test]
fn a_block_is_a_call_and_return_and_the_question_mark_end_it() {
    let (values, seen) = scope(|| [parse("1").ok(), parse("").ok(), parse("one").ok()]);
    assert_eq!(values, [Some(2), Some(1), None]);
    let calls = seen.calls("parse");
    assert_eq!((calls.started, calls.ok, calls.error, calls.in_flight), (3, 2, 1, 0));
    let spans = seen.spans_named("parse");
    assert_eq!(spans[0].attribute("length"), Some(1.into()));
    assert_eq!(spans[0].attribute("code.function.name"), Some("measured::parse".into()));
    assert!(matches!(spans[2].status(), Status::Error { .. }));
    assert_eq!(spans[2].attribute("error.type"), Some("core::num::error::ParseIntError".into()));
}

/// As every block: what is expected of it tells the types that it leaves open.
#[test]
fn the_code_around_a_block_tells_its_type() {
    fn small() -> u8 {
        measured!("small", { 3 })
    }
    fn share() -> f32 {
        measured!("share", { 0.5 })
    }
    fn fine() -> Result<u16, String> {
        measured!("fine", { Ok(7) })
    }
    fn fails() -> Result<u16, String> {
        measured!("fails", { Err("no".into()) })
    }
    fn parsed() -> Vec<u64> {
        measured!("parsed", { "1 2".split(' ').filter_map(|word| word.parse().ok()).collect() })
    }
    fn shown() -> Box<dyn std::fmt::Display> {
        measured!("shown", { Box::new(3) })
    }
    fn slice() -> &'static [u8] {
        measured!("slice", { &[1, 2] })
    }
    let ((), seen) = scope(|| {
        let late = measured!("late", { 4 });
        let text: &str = &measured!("text", { String::from("a") });
        let boxed: &dyn std::fmt::Display = &measured!("boxed", { 5_u8 });
        assert_eq!((small(), share(), fine(), parsed()), (3, 0.5, Ok(7), vec![1, 2]));
        assert_eq!(
            (fails(), shown().to_string(), slice()),
            (Err("no".into()), "3".into(), &[1, 2][..])
        );
        assert_eq!((small() + late, text, boxed.to_string()), (7_u8, "a", "5".into()));
        let each: Box<dyn Fn(u8) -> Result<u8, String>> = Box::new(measured!("each", |n| Ok(n)));
        assert_eq!(each(1), Ok(1));
    });
    assert_eq!((seen.calls("fine").ok, seen.calls("fails").error), (1, 1));
}

#[test]
fn a_block_borrows_moves_and_assigns_as_one_does() {
    let ((), seen) = scope(|| {
        let mut items = vec![String::from("a")];
        let moved = String::from("b");
        let mut first = None;
        let length = measured!("push", {
            items.push(moved);
            first = items.first().cloned();
            items.len()
        });
        assert_eq!((length, first.as_deref(), items.len()), (2, Some("a"), 2));
        measured!("unit", {});
        // SAFETY: the text is ASCII.
        let text =
            measured!("unsafe", kind = "client", unsafe { str::from_utf8_unchecked(b"text") });
        assert_eq!(text, "text");
        let last: &mut String = measured!("last", { items.last_mut().unwrap() });
        last.push('c');
    });
    assert_eq!(seen.calls("push").ok + seen.calls("unit").ok + seen.calls("last").ok, 3);
    assert_eq!(*seen.span("unsafe").kind(), SpanKind::Client);
}

#[test]
fn a_block_that_unwinds_has_panicked() {
    let (_, seen) = scope(|| {
        catch_unwind(AssertUnwindSafe(|| {
            measured!("boom", {
                if true {
                    resume_unwind(Box::new(()))
                }
            })
        }))
    });
    assert_eq!((seen.calls("boom").panic, seen.calls("boom").in_flight), (1, 0));
}

async fn fill(key: &str) -> Result<usize, std::fmt::Error> {
    tokio::task::yield_now().await;
    if key.is_empty() { Err(std::fmt::Error) } else { Ok(key.len()) }
}

#[tokio::test]
async fn an_async_block_is_a_call_from_its_first_poll() {
    let ((), seen) = scope_async(async {
        let key = String::from("key");
        let filled =
            measured!("fill", fields(key = key.as_str()), busy, async { fill(&key).await });
        assert_eq!(filled.await, Ok(3));
        drop(measured!("unpolled", async { fill(&key).await }));
        let mut dropped = Box::pin(measured!("dropped", async move { fill(&key).await }));
        let _ = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(dropped);
        let kept = measured!("asked", error_if = |out| *out == Ok(0), async {
            Ok::<_, std::fmt::Error>(fill("").await.unwrap_or(0))
        });
        assert_eq!(kept.await, Ok(0));
    })
    .await;
    assert_eq!((seen.calls("fill").ok, seen.calls("dropped").cancelled), (1, 1));
    assert_eq!((seen.calls("unpolled").started, seen.calls("asked").error), (0, 1));
    assert_eq!(seen.span("fill").attribute("key"), Some("key".into()));
    assert_eq!(seen.span("fill").attribute("redspan.polls"), Some(2.into()));
}

fn sent<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn each_call_of_a_closure_is_one() {
    let ((), seen) = scope_async(async {
        let texts = ["1", "one", "2"];
        let good = texts.iter().filter_map(|text| {
            let parsed = measured!("each", fields(text), |text: &str| text.parse::<u8>());
            parsed(text).ok()
        });
        assert_eq!(good.sum::<u8>(), 3);
        let mut total = 0;
        let mut add = measured!("add", labels(even = by.is_multiple_of(2)), |by: u8| -> u8 {
            total += by;
            total
        });
        assert_eq!((add(1), add(2)), (1, 3));
        assert_eq!(total, 3);
        let once = measured!("once", move || texts);
        assert_eq!(once(), texts);
        let lengths: Vec<_> = texts.iter().map(measured!("length", |text| text.len())).collect();
        assert_eq!(lengths, [1, 3, 1]);

        // A handler: the future that it returns is the call.
        let handler =
            measured!("handler", fields(key), |key: String| async move { fill(&key).await });
        assert_eq!(sent(handler(String::from("key"))).await, Ok(3));
        assert!(handler(String::new()).await.is_err());
        drop(handler(String::new()));
        let boxed =
            measured!("boxed", |key: &'static str| -> Pin<Box<dyn Future<Output = _> + Send>> {
                let key = key.trim();
                Box::pin(async move { fill(key).await })
            });
        assert_eq!(boxed(" key ").await, Ok(3));
        let mut seen = 0;
        let mut lending = measured!("lending", async |by: usize| {
            tokio::task::yield_now().await;
            seen += by;
            seen
        });
        assert_eq!((lending(1).await, lending(2).await), (1, 3));
        let mut never = pin!(lending(3));
        let _ = never.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    })
    .await;
    let calls = |name: &str| {
        let calls = seen.calls(name);
        (calls.started, calls.ok, calls.error)
    };
    assert_eq!(calls("each"), (3, 2, 1));
    assert_eq!(calls("add"), (2, 2, 0));
    assert_eq!(calls("once"), (1, 1, 0));
    assert_eq!(calls("length"), (3, 3, 0));
    assert_eq!(calls("handler"), (2, 1, 1));
    assert_eq!(calls("boxed"), (1, 1, 0));
    assert_eq!((calls("lending"), seen.calls("lending").cancelled), ((3, 2, 0), 1));
    let even = [("function", "add"), ("even", "true"), ("outcome", "ok")];
    assert_eq!(seen.counter("function_calls_total", &even), Some(1));
    assert_eq!(seen.spans_named("handler")[0].attribute("key"), Some("key".into()));
}

macro_rules! timed {
    ($name:literal, $body:expr) => {
        measured!($name, $body)
    };
}

#[test]
fn it_may_be_written_by_a_macro_and_stand_in_generic_functions() {
    fn twice<T: Clone>(value: T) -> (T, T) {
        measured!("twice", { (value.clone(), value) })
    }
    let ((), seen) = scope(|| {
        assert_eq!(timed!("block", { 1 + 1 }), 2);
        assert_eq!(timed!("closure", |n: u8| n + 1)(1), 2);
        assert_eq!((twice(1), twice("a")), ((1, 1), ("a", "a")));
    });
    assert_eq!((seen.calls("block").ok, seen.calls("closure").ok), (1, 1));
    assert_eq!(seen.calls("twice").ok, 2);
    assert_eq!(
        redspan::catalog().filter(|site| site.function() == "twice").count(),
        1,
        "one site, whatever the types"
    );
}

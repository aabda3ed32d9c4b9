//! Asking all collectors, none of which may hold up the others.

use super::values::{self, Values};
use super::{CollectError, Known, known};
use crate::metrics::store::{Kind, Store};
use crate::quiet;
use metrics::{CounterFn, Key, KeyName, Label};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

type Answer = Result<Result<Values, CollectError>, Panicked>;

struct Panicked;

/// Asks all that are not being asked already, and shows what they give.
pub(crate) fn collect_all() {
    if let Some(write) = super::FIRST.get() {
        write();
    }
    let mut left = known().map(|known| known.clone()).unwrap_or_default();
    if left.is_empty() {
        return;
    }
    left.retain(|known| {
        let free = known.busy.compare_exchange(false, true, AcqRel, Relaxed).is_ok();
        if !free {
            failed(known, "timeout", "it is still busy with the last time it was asked");
        }
        free
    });
    left.reverse();
    while !left.is_empty() {
        let (tell, told) = mpsc::channel();
        let asked: Vec<_> = left.iter().rev().cloned().collect();
        // One thread for all; another one only for those who come after one that hangs.
        let spawned = thread::Builder::new().name("redspan-collect".into()).spawn(move || {
            let _quiet = quiet::settle();
            for known in asked {
                let answer = ask(&known);
                known.busy.store(false, Release);
                if tell.send(answer).is_err() {
                    // Nobody waits any more: the others are asked by somebody else.
                    return;
                }
            }
        });
        if spawned.is_err() {
            for known in left.drain(..) {
                known.busy.store(false, Release);
                failed(&known, "thread", "no thread could be started");
            }
            return;
        }
        while let Some(known) = left.last() {
            match told.recv_timeout(limit(known)) {
                Ok(Ok(Ok(values))) => values::show(known, values),
                Ok(Ok(Err(error))) => failed(known, "error", &error.to_string()),
                Ok(Err(Panicked)) => failed(known, "panic", "it panicked"),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    failed(known, "timeout", "it took longer than it may");
                    left.pop();
                    break;
                }
            }
            left.pop();
        }
    }
}

/// Somebody else's code as well, and asked by who looks at the metrics.
fn limit(known: &Known) -> Duration {
    let limit = catch_unwind(AssertUnwindSafe(|| known.collector.limit()));
    limit.unwrap_or(Duration::from_secs(1))
}

fn ask(known: &Known) -> Answer {
    let mut values = Values::default();
    let asked = catch_unwind(AssertUnwindSafe(|| known.collector.collect(&mut values)));
    match asked {
        Ok(result) => Ok(result.map(|()| values)),
        Err(_) => Err(Panicked),
    }
}

fn failed(known: &Known, error: &'static str, message: &str) {
    const ERRORS: &str = "redspan_collector_errors";
    let store = Store::global();
    let about = "How often values could not be had, by collector and by what went wrong.";
    store.describe(Kind::Counter, &KeyName::from(ERRORS), None, about.into());
    let labels = vec![Label::new("collector", known.name.clone()), Label::new("error_type", error)];
    if let Some(counter) = store.counter(&Key::from_parts(ERRORS, labels)) {
        counter.increment(1);
    }
    // What it gave earlier is no longer known to be so.
    values::take_back(known, values::Given::default());
    if store.warn_once(&format!("collector {} {error}", known.name)) {
        tracing::warn!(
            target: "redspan",
            collector = &*known.name,
            error,
            "a collector gives no values: {message}"
        );
    }
}

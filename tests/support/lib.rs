//! What the integration tests share.

pub mod certificate;
pub mod conventions;
pub mod counting;
pub mod front;
pub mod grpc;
pub mod mariadb;
pub mod page;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod receiver;

pub use front::{Fault, Files, Front};
pub use lines::Lines;
pub use metric::{Exemplar, Point};
pub use random::{Random, seeds};
pub use receiver::{Behaviour, Heard, Receiver};
pub use record::Record;
pub use served::{serve_in_scope, wait_for};
pub use span::{Event, Link, Span, Transport, Value};

mod lines;
mod metric;
mod random;
mod record;
mod served;
mod span;

use opentelemetry::trace::{FutureExt, WithContext};
use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Throws spans away.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl SpanSink for Discard {
    fn describe(&self) -> String {
        "nobody".into()
    }

    fn export(&mut self, spans: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        drop(spans);
        Ok(())
    }
}

/// Keeps the spans it is given.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Kept {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Takes nothing until the other end is dropped, whatever the timeout.
#[derive(Debug)]
pub struct Hangs {
    until: mpsc::Receiver<()>,
    /// Spans that it has taken then.
    pub taken: Arc<AtomicUsize>,
}

impl Hangs {
    /// It, and what lets it go.
    pub fn until_dropped() -> (mpsc::Sender<()>, Self) {
        let (let_go, until) = mpsc::channel();
        (let_go, Hangs { until, taken: Arc::default() })
    }
}

impl SpanSink for Hangs {
    fn describe(&self) -> String {
        "one that hangs".into()
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        let _ = self.until.recv();
        self.taken.fetch_add(batch.len(), Relaxed);
        Ok(())
    }
}

/// Takes the current context along to wherever the future runs.
pub fn carried<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}

/// Says that a test is skipped for want of something, and how to get it. Where everything must be
/// there (`REDSPAN_REQUIRE_SERVERS=1`, as in CI) it fails instead.
pub fn skipped(missing: &str, remedy: &str) {
    let required = std::env::var("REDSPAN_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{missing}, and REDSPAN_REQUIRE_SERVERS=1 asks for it: {remedy}");
    // Not `eprintln`, which is shown only when a test fails.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("SKIPPED: {missing}; {remedy}\n").as_bytes(),
    );
}

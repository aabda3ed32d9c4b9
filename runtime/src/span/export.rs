//! The last step of a span: somebody who takes it away.

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::any::{Any, type_name};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Takes finished spans away, a batch at a time.
///
/// It runs on redspan's export thread and nowhere else, so it may block there up to the time it is
/// given; callers never wait for it. Any [`SpanExporter`](https://docs.rs/opentelemetry_sdk/0.33/opentelemetry_sdk/trace/trait.SpanExporter.html) of the OpenTelemetry SDK is one through
/// [`from_sdk`].
pub trait SpanSink: Send + 'static {
    /// What it is and where it sends to, for people; without credentials.
    fn describe(&self) -> String;

    /// Says whose spans they will be. Called once, before the first batch.
    fn set_resource(&mut self, resource: &Resource) {
        let _ = resource;
    }

    /// Takes `batch` away, within `timeout`.
    ///
    /// # Errors
    /// When the spans were not taken: they are then counted as dropped.
    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError>;

    /// Sends what it still holds, within `timeout`. More may follow.
    fn flush(&mut self, timeout: Duration) {
        let _ = timeout;
    }

    /// Sends what it still holds, within `timeout`. Nothing follows.
    fn shutdown(&mut self, timeout: Duration) {
        let _ = timeout;
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
pub struct ExportError {
    /// A stable word for the counter's `error_type`, such as `timeout`.
    pub kind: &'static str,
    /// What happened, for people; without credentials.
    pub message: String,
    /// How many spans of the batch were not taken; `None`: all of them.
    pub lost: Option<usize>,
    /// Spans that were taken all the same, by their places in the batch, as far as they are known.
    pub(crate) taken: Vec<Range<usize>>,
}

impl ExportError {
    /// A failure of the given kind.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        ExportError { kind, message: message.into(), lost: None, taken: Vec::new() }
    }

    /// The same, when only `spans` of the batch were not taken.
    pub fn losing(self, spans: usize) -> Self {
        ExportError { lost: Some(spans), ..self }
    }

    pub(super) fn has_taken(&self, at: usize) -> bool {
        self.taken.iter().any(|taken| taken.contains(&at))
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for ExportError {}

/// Makes a sink of any exporter for the OpenTelemetry SDK.
///
/// Its future is driven on the export thread, without an async runtime: an exporter that needs one
/// has to bring it. One that blocks in its `export` instead of awaiting cannot be interrupted, and
/// its own limits are then the ones that hold.
///
/// ```
/// # use opentelemetry_sdk::{error::OTelSdkResult, trace::{SpanData, SpanExporter}};
/// #[derive(Debug)]
/// struct Count;
///
/// impl SpanExporter for Count {
///     async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
///         println!("{} spans", batch.len());
///         Ok(())
///     }
/// }
///
/// let sink = redspan::export::from_sdk(Count);
/// ```
pub fn from_sdk(exporter: impl SpanExporter + 'static) -> impl SpanSink {
    FromSdk(exporter)
}

struct FromSdk<E>(E);

impl<E: SpanExporter + 'static> SpanSink for FromSdk<E> {
    fn describe(&self) -> String {
        // Not its `Debug`: that may show headers.
        type_name::<E>().to_owned()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
        // Foreign code: one that looks for a runtime which is not there panics at its first poll,
        // and must not take the export thread along.
        let drive = || block_on(self.0.export(batch), timeout);
        match catch_unwind(AssertUnwindSafe(drive)) {
            Ok(Some(result)) => result.map_err(ExportError::from),
            Ok(None) => Err(ExportError::new("timeout", format!("no result within {timeout:?}"))),
            Err(panic) => Err(ExportError::new("panic", panic_message(&*panic))),
        }
    }

    fn flush(&mut self, _timeout: Duration) {
        // It has nobody to tell, and takes no limit.
        drop(catch_unwind(AssertUnwindSafe(|| drop(self.0.force_flush()))));
    }

    fn shutdown(&mut self, timeout: Duration) {
        // Nobody is left who could be told how it went.
        let stop = || drop(self.0.shutdown_with_timeout(timeout));
        drop(catch_unwind(AssertUnwindSafe(stop)));
    }
}

impl From<OTelSdkError> for ExportError {
    fn from(error: OTelSdkError) -> Self {
        let kind = match error {
            OTelSdkError::AlreadyShutdown => "shutdown",
            OTelSdkError::Timeout(_) => "timeout",
            OTelSdkError::InternalFailure(_) => "other",
        };
        ExportError::new(kind, error.to_string())
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives `future` by parking this thread in between; `None` if it takes longer than `timeout`.
fn block_on<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let start = Instant::now();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        // Spurious wake-ups cost a poll, nothing else.
        thread::park_timeout(timeout.checked_sub(start.elapsed()).filter(|it| !it.is_zero())?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkResult;
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[derive(Debug)]
    struct Exporter(fn() -> OTelSdkResult);

    impl SpanExporter for Exporter {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            (self.0)()
        }
    }

    fn kind(export: fn() -> OTelSdkResult) -> Option<&'static str> {
        from_sdk(Exporter(export)).export(vec![], Duration::from_secs(1)).err().map(|it| it.kind)
    }

    #[test]
    fn what_an_exporter_says_becomes_a_stable_kind() {
        assert_eq!(kind(|| Ok(())), None);
        assert_eq!(kind(|| Err(OTelSdkError::AlreadyShutdown)), Some("shutdown"));
        assert_eq!(kind(|| Err(OTelSdkError::Timeout(Duration::ZERO))), Some("timeout"));
        assert_eq!(kind(|| Err(OTelSdkError::InternalFailure("x".into()))), Some("other"));
        assert_eq!(kind(|| panic!("no reactor running")), Some("panic"));
    }

    #[test]
    fn an_exporter_that_never_answers_is_left_after_the_timeout() {
        let start = Instant::now();
        assert_eq!(block_on(pending::<()>(), Duration::from_millis(50)), None);
        let took = start.elapsed();
        assert!((50..1_000).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn a_future_woken_from_another_thread_goes_on() {
        let mut helper = None;
        let future = poll_fn(|context| match helper.take() {
            Some(()) => Poll::Ready(7),
            None => {
                helper = Some(());
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            }
        });
        assert_eq!(block_on(future, Duration::from_secs(10)), Some(7));
    }

    #[test]
    fn an_exporter_is_asked_to_send_what_it_holds_back_also_if_it_panics() {
        static FLUSHES: AtomicU32 = AtomicU32::new(0);
        #[derive(Debug)]
        struct Holding;
        impl SpanExporter for Holding {
            async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
                Ok(())
            }
            fn force_flush(&self) -> OTelSdkResult {
                FLUSHES.fetch_add(1, Relaxed);
                panic!("flushed");
            }
        }
        from_sdk(Holding).flush(Duration::from_secs(1));
        assert_eq!(FLUSHES.load(Relaxed), 1);
    }

    #[test]
    fn an_exporters_debug_output_is_not_its_description() {
        assert!(from_sdk(Exporter(|| Ok(()))).describe().ends_with("Exporter"));
    }
}

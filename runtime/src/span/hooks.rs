//! The application's own processors: they see each span that has ended.

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanProcessor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What sees a span between its end and the exporters.
pub(crate) trait Hook: Send {
    fn set_resource(&mut self, _: &Resource) {}
    fn ended(&mut self, span: &mut SpanData);
    fn flush(&mut self) {}
    fn shutdown(&mut self, _: Duration) {}
}

/// A function.
pub(crate) struct Call<F>(pub(crate) F);

impl<F: FnMut(&mut SpanData) + Send> Hook for Call<F> {
    fn ended(&mut self, span: &mut SpanData) {
        (self.0)(span);
    }
}

/// A processor for the OpenTelemetry SDK. Its `on_start` takes a span of the SDK's, and is not called.
pub(crate) struct Processor<P>(pub(crate) P);

impl<P: SpanProcessor> Hook for Processor<P> {
    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }

    fn ended(&mut self, span: &mut SpanData) {
        self.0.on_end(span.clone());
    }

    fn flush(&mut self) {
        // It has nobody to tell.
        let _ = self.0.force_flush();
    }

    fn shutdown(&mut self, timeout: Duration) {
        let _ = self.0.shutdown_with_timeout(timeout);
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Hooks(pub(crate) Vec<Box<dyn Hook>>);

impl Hooks {
    pub(super) fn ended(&mut self, span: &mut SpanData) {
        self.each(|hook| hook.ended(span));
    }

    pub(super) fn flush(&mut self) {
        self.each(|hook| hook.flush());
    }

    pub(super) fn shutdown(&mut self, timeout: Duration) {
        self.each(|hook| hook.shutdown(timeout));
    }

    /// Somebody else's code: its panic costs what it does, not the pipeline.
    fn each(&mut self, mut what: impl FnMut(&mut dyn Hook)) {
        for hook in &mut self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| what(&mut **hook)));
        }
    }
}

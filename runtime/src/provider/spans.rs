//! What the program says about its spans and their way out.

use super::builder::Builder;
use super::error::InitError;
use crate::config::settings::{Batching, Settings, SpanLimits, TracesExporter};
use crate::context::pending;
use crate::sample::{self, Sampler};
use crate::span::batch::Exporter;
use crate::span::console::ConsoleSink;
use crate::span::export::SpanSink;
use crate::span::hooks::{Call, Hook, Hooks, Processor};
#[cfg(feature = "otlp")]
use crate::span::otlp::OtlpSink;
use crate::span::pipeline::{Pace, Pipeline, Plan};
use crate::span::tail::TailPolicy;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanProcessor};

/// The builder's word on spans.
#[derive(Default)]
pub(super) struct Spans {
    sampler: Option<Box<dyn Sampler>>,
    sinks: Vec<Exporter>,
    hooks: Hooks,
    tail: Option<TailPolicy>,
    batching: Option<Batching>,
    limits: Option<SpanLimits>,
    pace: Pace,
}

impl Builder {
    /// What decides which spans are recorded. Environment: `OTEL_TRACES_SAMPLER`; by default all
    /// are, unless the caller's trace or the function's own hint (`#[instrumented(sample = …)]`) says
    /// otherwise.
    pub fn sampler(mut self, sampler: impl Sampler) -> Self {
        self.spans.sampler = Some(Box::new(sampler));
        self
    }

    /// Keeps or drops local traces when their roots have ended. Then every span is recorded, unless
    /// [`sampler`](Self::sampler) says otherwise; `OTEL_TRACES_SAMPLER` is not asked.
    pub fn tail(mut self, policy: TailPolicy) -> Self {
        self.spans.tail = Some(policy);
        self
    }

    /// Where spans go; again, for one more place. Environment: `OTEL_TRACES_EXPORTER`; by default
    /// nowhere.
    ///
    /// With several, a span counts as exported once the first has taken it; each of the others has a
    /// thread and numbers of its own ([`Telemetry::health`](crate::Telemetry::health)), and one that
    /// hangs holds up no other.
    pub fn spans_to(mut self, sink: impl SpanSink) -> Self {
        self.spans.sinks.extend(exporter(sink));
        self
    }

    /// Prints spans to stdout, as trees.
    pub fn spans_to_stdout(self) -> Self {
        self.spans_to(ConsoleSink::stdout())
    }

    /// Sees, and may change, each recorded span between its end and the exporters. It runs on a
    /// thread of redspan's: callers never wait for it.
    ///
    /// ```no_run
    /// use redspan::KeyValue;
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder()
    ///     .on_span_end(|span| span.attributes.push(KeyValue::new("cell", "eu-3")))
    ///     .install()?;
    /// # Ok(()) }
    /// ```
    pub fn on_span_end(mut self, see: impl FnMut(&mut SpanData) + Send + 'static) -> Self {
        self.spans.hooks.0.push(Box::new(Call(see)));
        self
    }

    /// Gives each recorded span to a processor made for the OpenTelemetry SDK, when it has ended, on a
    /// thread of redspan's. Its `on_start` takes the SDK's own span, and is not called.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.spans.hooks.0.push(Box::new(Processor(processor)));
        self
    }

    /// How spans are gathered before they are exported. Environment: `OTEL_BSP_*`.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.spans.batching = Some(batching);
        self
    }

    /// What one span may hold. Environment: `OTEL_SPAN_*_LIMIT` and `OTEL_ATTRIBUTE_*_LIMIT`.
    pub fn span_limits(mut self, limits: SpanLimits) -> Self {
        self.spans.limits = Some(limits);
        self
    }

    /// For tests of the warning that nothing leaves: after how long it is said, and how long afterwards
    /// again, instead of 15 s and a minute.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn warning_of_a_hang(
        mut self,
        after: std::time::Duration,
        again: std::time::Duration,
    ) -> Self {
        self.spans.pace = Pace { stuck: after, pause: again };
        self
    }
}

impl Spans {
    pub(super) fn limits(&self, settings: &Settings) -> SpanLimits {
        self.limits.unwrap_or(settings.limits)
    }

    /// Sets up where spans go and what is recorded; says so.
    pub(super) fn way_out(
        &mut self,
        settings: &Settings,
        resource: &Resource,
        says: &mut Vec<String>,
    ) -> Result<(Pipeline, Box<dyn Sampler>), InitError> {
        let batching = self.batching.unwrap_or(settings.batch);
        let mut sinks = self.sinks(settings)?;
        let mut hooks = std::mem::take(&mut self.hooks);
        if settings.sdk_disabled {
            hooks = Hooks::default();
        }
        if sinks.is_empty() && !hooks.0.is_empty() {
            sinks.push(Exporter::Data(Box::new(Processors)));
        }
        says.push(match sinks.is_empty() {
            false => {
                let described: Vec<_> = sinks.iter().map(|to| to.sink().describe()).collect();
                format!("spans to {}", described.join(" and "))
            }
            true if settings.sdk_disabled => "OTEL_SDK_DISABLED is set, nothing is exported".into(),
            true if cfg!(not(feature = "otlp")) => "spans are not exported \
                     (OTEL_TRACES_EXPORTER=console prints them, redspan's feature `otlp` can send them)"
                .into(),
            true => "spans are not exported (OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \
                     sends them to a Collector, OTEL_TRACES_EXPORTER=console prints them)"
                .into(),
        });
        let sampler = self.decided_by(settings, !sinks.is_empty(), says);
        let pipeline = match sinks.is_empty() {
            true => Pipeline::disconnected(batching),
            false => {
                sinks.iter_mut().for_each(|to| to.sink_mut().set_resource(resource));
                hooks.0.iter_mut().for_each(|hook: &mut Box<dyn Hook>| hook.set_resource(resource));
                let exemplars = settings.exemplars;
                let (tail, pace) = (self.tail.clone(), self.pace);
                let plan = Plan { sinks, hooks, batching, tail, exemplars, pace };
                Pipeline::start(plan).map_err(InitError::Thread)?
            }
        };
        Ok((pipeline, sampler))
    }

    fn sinks(&mut self, settings: &Settings) -> Result<Vec<Exporter>, InitError> {
        if settings.sdk_disabled {
            return Ok(Vec::new());
        }
        if !self.sinks.is_empty() {
            return Ok(std::mem::take(&mut self.sinks));
        }
        let asked = settings.traces_exporters.iter().filter_map(|exporter| match exporter {
            TracesExporter::Otlp => otlp(settings),
            TracesExporter::Console => Some(Ok(Exporter::Data(Box::new(ConsoleSink::stdout())))),
        });
        asked.collect()
    }

    fn decided_by(
        &mut self,
        settings: &Settings,
        exported: bool,
        says: &mut Vec<String>,
    ) -> Box<dyn Sampler> {
        if !exported {
            // Recording for nobody would cost, and an exemplar would name a trace that is nowhere.
            return Box::new(sample::AlwaysOff);
        }
        if let Some(policy) = &self.tail {
            pending::activate(policy.downstream);
            says.push("kept by the tail policy".into());
        }
        let sampler = self.sampler.take().unwrap_or_else(|| {
            if self.tail.is_some() {
                // All there is, whatever the caller says; below a local span nobody is asked.
                let all = sample::parent_based(sample::AlwaysOn);
                return Box::new(all.remote_not_sampled(sample::AlwaysOn));
            }
            let root: Box<dyn Sampler> = match settings.sampler.ratio {
                ratio if ratio >= 1.0 => Box::new(sample::AlwaysOn),
                ratio if ratio <= 0.0 => Box::new(sample::AlwaysOff),
                ratio => Box::new(sample::trace_id_ratio(ratio)),
            };
            let root = match settings.sampler.hints {
                true => Box::new(sample::hinted(root)),
                false => root,
            };
            match settings.sampler.parent_based {
                true => Box::new(sample::parent_based(root)),
                false => root,
            }
        });
        says.push(format!("sampled by {}", sampler.describe()));
        sampler
    }
}

/// Stands where spans go to processors alone.
struct Processors;

impl SpanSink for Processors {
    fn describe(&self) -> String {
        "the application's span processors".into()
    }

    fn export(
        &mut self,
        _: Vec<SpanData>,
        _: std::time::Duration,
    ) -> Result<(), crate::span::export::ExportError> {
        Ok(())
    }
}

#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Option<Result<Exporter, InitError>> {
    let sink = OtlpSink::new(settings.otlp.clone());
    Some(sink.map(|sink| Exporter::Bytes(Box::new(sink))).map_err(InitError::from))
}

/// The program's own exporter; ours is known again, for it takes bytes.
#[cfg(feature = "otlp")]
fn exporter(sink: impl SpanSink) -> Option<Exporter> {
    let mut sink = Some(sink);
    let ours = (&mut sink as &mut dyn std::any::Any).downcast_mut::<Option<OtlpSink>>();
    let ours = ours.and_then(Option::take).map(|ours| Exporter::Bytes(Box::new(ours)));
    ours.or_else(|| Some(Exporter::Data(Box::new(sink?))))
}

#[cfg(not(feature = "otlp"))]
fn exporter(sink: impl SpanSink) -> Option<Exporter> {
    Some(Exporter::Data(Box::new(sink)))
}

#[cfg(not(feature = "otlp"))]
fn otlp(_: &Settings) -> Option<Result<Exporter, InitError>> {
    None
}

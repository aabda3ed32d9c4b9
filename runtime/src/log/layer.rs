//! The layer that turns each event into a line of each sink.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use tracing_core::{Dispatch, Event, LevelFilter, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{MAX_RECORD, Recorder, Rendering};
use super::handle::LogHandle;
use super::limit::{Limit, Limiter, Verdict};
use super::line::Line;
use super::names::Reserved;
use super::place::Place;
use super::record::{LogRecord, ScopedLogs};
use super::reminder::Reminder;
use super::scratch::{self, Scratch};
use super::sink::{Format, Sink};
use super::span_ids::{self, Bridge, Ids};
use super::table::Table;
use super::value::Unit;
use super::{keys, pretty, scope, sink};
use crate::context::propagation::baggage;
use crate::context::{current, scope as testing_scope};
use crate::quiet;
use crate::redact::{self, Redaction};

/// Writes each event as one line with the ids of its span; made by [`layer`](super::layer).
#[derive(Debug)]
#[must_use = "a layer does nothing until a subscriber has it"]
pub struct LogLayer {
    first: Sink,
    more: Vec<Sink>,
    service: Option<String>,
    bridge: Bridge,
    redaction: Option<Redaction>,
    limiter: Option<Arc<Limiter>>,
    unit: Unit,
    room: usize,
    /// What follows from all of that, when the layer is complete.
    settled: OnceLock<Settled>,
}

#[derive(Debug)]
struct Settled {
    /// The names that no field may have.
    reserved: Reserved,
    /// The places in the code that have logged.
    places: Box<Table<Place>>,
    names_span: bool,
    /// Whether the fields of a span's event would be this layer's as well.
    shares: bool,
}

impl LogLayer {
    pub(super) fn stdout() -> LogLayer {
        LogLayer {
            first: sink::stdout(),
            more: Vec::new(),
            service: None,
            bridge: Bridge::default(),
            redaction: None,
            limiter: None,
            unit: Unit::default(),
            room: MAX_RECORD,
            settled: OnceLock::new(),
        }
    }

    /// One JSON object a line, also on a terminal.
    pub fn json(self) -> Self {
        self.format(keys::json())
    }

    /// Lines for a person, also where stdout is no terminal. Colours only on a terminal, and not if
    /// `NO_COLOR` is set. Times are UTC.
    pub fn pretty(self) -> Self {
        self.format(pretty::pretty())
    }

    /// How lines look: [`json`](super::json) or [`pretty`](super::pretty) with what they offer.
    pub fn format(mut self, format: impl Into<Format>) -> Self {
        self.first.set_format(format);
        self.settle()
    }

    /// Writes to `writer` instead of stdout; JSON unless [`pretty`](Self::pretty) is asked for, never in colour.
    ///
    /// A thread of the layer's own calls it, with any number of whole lines at a time.
    pub fn with_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.first.redirect(writer);
        self.settle()
    }

    /// Writes to `sink` instead of stdout.
    pub fn to(mut self, sink: Sink) -> Self {
        self.first = sink;
        self.settle()
    }

    /// Writes to `sink` as well.
    ///
    /// ```
    /// use redspan::log;
    /// use tracing::Level;
    ///
    /// let layer = log::layer()
    ///     .level(Level::INFO)
    ///     .also(log::stderr().pretty().level(Level::ERROR));
    /// # let _ = layer;
    /// ```
    pub fn also(mut self, sink: Sink) -> Self {
        self.more.push(sink);
        self.settle()
    }

    /// Writes lines of this level and above; sinks that were [added](Self::also) have their own.
    pub fn level(self, level: impl Into<LevelFilter>) -> Self {
        self.first.set_level(level.into());
        self
    }

    /// Writes fewer lines of places in the code that write many: [`limit`](super::limit).
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limiter = Some(Arc::new(Limiter::new(limit)));
        self
    }

    /// What is secret in these lines, instead of what is secret in the whole process
    /// ([`redact`](crate::redact)).
    pub fn redact(mut self, redaction: Redaction) -> Self {
        self.redaction = Some(redaction);
        self.settle()
    }

    /// What bound durations are counted in; milliseconds by default.
    pub fn durations_in(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self.settle()
    }

    /// Cuts a record whose values together have more than so many bytes of text, with a mark where it is
    /// cut; 64 KiB by default. A single value is cut after 16 KiB.
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self.settle()
    }

    /// Adds `"service.name"` to each JSON line.
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Finds ids where a tracing-opentelemetry layer has `with_context_activation(false)`.
    ///
    /// The current OpenTelemetry context is empty there, so each line asks for its tracing span's ids; that
    /// starts a span which has not started yet, as tracing-opentelemetry's `context()` does. With this, a
    /// sampler, id generator or span processor must not log through `tracing`, unless with a target that
    /// begins with `opentelemetry`: it would wait for the span that it is starting.
    pub fn without_context_activation(mut self) -> Self {
        self.bridge.set_inactive();
        self
    }

    /// What became of the lines of all sinks, and a way to wait for them at the end of `main`. Sinks that
    /// are added later are not among them.
    pub fn handle(&self) -> LogHandle {
        LogHandle::of(self.sinks().map(Sink::handle), self.limiter.clone())
    }

    /// Whose records they are, for sinks that say so.
    #[cfg(feature = "otlp")]
    pub(crate) fn set_resource(&self, resource: &opentelemetry_sdk::Resource) {
        self.sinks().for_each(|sink| sink.set_resource(resource));
    }

    fn sinks(&self) -> impl Iterator<Item = &Sink> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Has the sinks' threads tell what was suppressed, should the place become quiet.
    fn remind(&self) {
        let limiter = self.limiter.as_ref().filter(|limiter| limiter.wants_reminders());
        if let Some(reminder) = limiter.and_then(Reminder::of) {
            self.sinks().for_each(|sink| sink.remind(&reminder));
        }
    }

    fn settle(mut self) -> Self {
        self.settled = OnceLock::new();
        self
    }

    fn settled(&self) -> &Settled {
        self.settled.get_or_init(|| {
            #[cfg(feature = "otlp")]
            if let Some(service) = &self.service {
                // Where nobody has said more.
                let name = opentelemetry::KeyValue::new("service.name", service.clone());
                let builder = opentelemetry_sdk::Resource::builder_empty();
                self.set_resource(&builder.with_attributes([name]).build());
            }
            let own = self.sinks().flat_map(|sink| sink.settle(self.service.as_deref()));
            let reserved = own.chain(["suppressed".into()]).collect();
            // As the layer before has them, which makes the events of spans.
            let shares =
                self.redaction.is_none() && self.unit == Unit::default() && self.room == MAX_RECORD;
            let names_span = self.sinks().any(Sink::names_span);
            Settled { reserved, shares, places: Box::new(Table::new()), names_span }
        })
    }
}

/// What the current context says of a line.
#[derive(Default)]
struct Here {
    ids: Option<Ids>,
    suppressed: bool,
    scoped: Option<ScopedLogs>,
}

/// The name that an event was given: by default tracing makes one of file and line.
#[cfg(feature = "otlp")]
fn given_name(metadata: &'static tracing_core::Metadata<'static>) -> Option<&'static str> {
    let name = metadata.name();
    (!name.starts_with("event ") && !name.starts_with("log ")).then_some(name)
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.bridge.register(dispatch);
        if let Some(limiter) = &self.limiter {
            limiter.register(dispatch);
        }
    }

    fn on_event(&self, event: &Event<'_>, layers: layer::Context<'_, S>) {
        if quiet::is_sending() {
            return;
        }
        let settled = self.settled();
        let normalized = span_ids::of_log_record(event);
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let level = *metadata.level();
        let own_message = span_ids::from_opentelemetry(metadata.target());
        let in_test = testing_scope::any_open() && !own_message;
        let mut before = 0;
        if !in_test {
            if !self.sinks().any(|sink| sink.takes(level)) {
                return;
            }
            match self.limiter.as_ref().map(|limiter| limiter.judge(event, metadata)) {
                Some(Verdict::Suppress) => return self.remind(),
                Some(Verdict::Write(suppressed)) => before = suppressed,
                None => {}
            }
        }
        let time = scratch::time();
        let Some(_rendering) = Rendering::begin() else {
            self.sinks().filter(|sink| sink.takes(level)).for_each(Sink::drop_line);
            return;
        };
        let mut scratch = scratch::take();
        let reserved = &settled.reserved;
        let redaction = self.redaction.as_ref().unwrap_or_else(|| redact::current());
        let place = settled.places.get(std::ptr::from_ref(event.metadata()).addr(), || {
            Place::of(event.metadata(), redaction, reserved)
        });
        // The span's event has been made of the same fields.
        let rendered = settled.shares
            && place.is_distinct()
            && scratch.take_shared(event)
            && scratch.fields.are_as_given();
        if !rendered {
            scratch.start(self.room);
        }
        let Scratch { fields, line: out, seconds, .. } = &mut *scratch;

        let from_log = normalized.is_some();
        let recorder = Recorder::new(fields, reserved, redaction, self.unit, from_log);
        let mut recorder = recorder.at(place);
        // A log record's target may be anything; an event's is in the program's text.
        let target = from_log.then(|| recorder.label(metadata.target()));
        if !rendered {
            event.record(&mut recorder);
            recorder.key_values();
            recorder.leave_group();
        }
        // All of the user's code has run: from here on the thread's context may be borrowed.
        let mut here = Here::default();
        if !own_message {
            here = current::with(|cx| {
                if !span_ids::is_root(event) {
                    scope::each(cx, |key, value| recorder.bound(key, value));
                    baggage::copied(cx).for_each(|pair| recorder.context(&pair));
                }
                Here {
                    ids: Ids::current(cx),
                    suppressed: cx.is_telemetry_suppressed(),
                    scoped: if in_test { cx.get::<ScopedLogs>().cloned() } else { None },
                }
            })
            .unwrap_or_default();
        }
        if before > 0 {
            recorder.suppressed(before);
        }
        recorder.finish();
        let span = if settled.names_span && !own_message && !span_ids::is_root(event) {
            current::name().or_else(|| layers.current_span().metadata().map(|it| it.name()))
        } else {
            None
        };
        let line = Line {
            time,
            level,
            message: fields.message().unwrap_or_else(|| event.metadata().name()),
            target: target.as_ref().map_or(metadata.target(), |at| fields.text(at)),
            ids: match own_message {
                true => None,
                false => self.bridge.ids(event, &layers, here.ids, here.suppressed),
            },
            #[cfg(feature = "otlp")]
            event: given_name(event.metadata()),
            span,
            source: metadata.file().zip(metadata.line()),
            fields,
        };
        match here.scoped {
            Some(scoped) => scoped.push(LogRecord::of(&line)),
            None => {
                for sink in self.sinks().filter(|sink| sink.takes(level)) {
                    sink.write(&line, out, seconds);
                }
            }
        }
        scratch::keep(scratch);
    }
}

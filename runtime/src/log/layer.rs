//! The layer that turns each event into one line.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use tracing_core::{Dispatch, Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, Rendering};
use super::line::Line;
use super::record::{LogRecord, ScopedLogs};
use super::span_ids::{self, Bridge};
use super::writer::{LogHandle, Writer};
use super::{json, pretty};
use crate::context::scope;

/// Writes each event as one line with the ids of its span; made by [`layer`](super::layer).
#[derive(Debug)]
#[must_use = "a layer does nothing until a subscriber has it"]
pub struct LogLayer {
    format: Format,
    writer: Writer,
    service: Option<String>,
    bridge: Bridge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Pretty { colour: bool },
}

impl LogLayer {
    pub(super) fn stdout() -> LogLayer {
        let format = if io::stdout().is_terminal() {
            Format::Pretty { colour: colour_wanted() }
        } else {
            Format::Json
        };
        LogLayer {
            format,
            writer: Writer::new(io::stdout()),
            service: None,
            bridge: Bridge::default(),
        }
    }

    /// One JSON object a line, also on a terminal.
    pub fn json(mut self) -> Self {
        self.format = Format::Json;
        self
    }

    /// Lines for a person, also where stdout is no terminal. Colours only on a terminal, and not if
    /// `NO_COLOR` is set. Times are UTC.
    pub fn pretty(mut self) -> Self {
        if self.format == Format::Json {
            self.format = Format::Pretty { colour: io::stdout().is_terminal() && colour_wanted() };
        }
        self
    }

    /// Writes to `writer` instead of stdout, as JSON unless [`pretty`](Self::pretty) is called after it.
    ///
    /// A thread of the layer's own calls it, with any number of whole lines at a time.
    pub fn with_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.writer = Writer::new(writer);
        self.format = Format::Json;
        self
    }

    /// Adds `"service.name"` to each JSON line.
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// What became of the lines, and a way to wait for them at the end of `main`.
    pub fn handle(&self) -> LogHandle {
        self.writer.handle()
    }
}

/// <https://no-color.org>: present and not empty means no.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Memory that a thread keeps from line to line.
#[derive(Default)]
struct Scratch {
    fields: Fields,
    line: Vec<u8>,
}

/// A line longer than this gives its memory back.
const KEPT: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.bridge.register(dispatch);
    }

    fn on_event(&self, event: &Event<'_>, layers: layer::Context<'_, S>) {
        let time = SystemTime::now();
        let Some(_rendering) = Rendering::begin() else {
            self.writer.drop_line();
            return;
        };
        // Taken, not borrowed: a user's `Debug` may log, and that line finds none and makes its own. Past
        // the end of the thread there is none either.
        let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();

        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        scratch.fields.start(json::RESERVED, normalized.is_some());
        let target = scratch.fields.label(metadata.target());
        event.record(&mut scratch.fields);

        let own_message = span_ids::from_opentelemetry(metadata.target());
        let line = Line {
            time,
            level: *metadata.level(),
            message: scratch.fields.message().unwrap_or_else(|| event.metadata().name()),
            target: scratch.fields.text(&target),
            ids: if own_message { None } else { self.bridge.ids(event, &layers) },
            service: self.service.as_deref(),
            fields: &scratch.fields,
        };
        let scoped = if scope::any_open() && !own_message {
            span_ids::current(|cx| cx.get::<ScopedLogs>().cloned()).flatten()
        } else {
            None
        };
        if let Some(scoped) = scoped {
            scoped.push(LogRecord::of(&line));
        } else {
            scratch.line.clear();
            match self.format {
                Format::Json => json::write(&mut scratch.line, &line),
                Format::Pretty { colour } => pretty::write(&mut scratch.line, &line, colour),
            }
            self.writer.write(&scratch.line);
        }
        scratch.line.shrink_to(KEPT);
        let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
    }
}

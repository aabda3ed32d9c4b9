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
use crate::context::{current, scope};

/// Writes each event as one line with the ids of its span; made by [`layer`](super::layer).
#[derive(Debug)]
#[must_use = "a layer does nothing until a subscriber has it"]
pub struct LogLayer {
    /// What was asked for; otherwise it depends on the destination.
    format: Option<Format>,
    /// Whether the destination is a terminal.
    terminal: bool,
    colour: bool,
    writer: Writer,
    service: Option<String>,
    bridge: Bridge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Pretty,
}

impl LogLayer {
    pub(super) fn stdout() -> LogLayer {
        let terminal = io::stdout().is_terminal();
        LogLayer {
            format: None,
            terminal,
            colour: terminal && colour_wanted(),
            writer: Writer::new(io::stdout()),
            service: None,
            bridge: Bridge::default(),
        }
    }

    /// One JSON object a line, also on a terminal.
    pub fn json(mut self) -> Self {
        self.format = Some(Format::Json);
        self
    }

    /// Lines for a person, also where stdout is no terminal. Colours only on a terminal, and not if
    /// `NO_COLOR` is set. Times are UTC.
    pub fn pretty(mut self) -> Self {
        self.format = Some(Format::Pretty);
        self
    }

    /// Writes to `writer` instead of stdout; JSON unless [`pretty`](Self::pretty) is asked for, never in colour.
    ///
    /// A thread of the layer's own calls it, with any number of whole lines at a time.
    pub fn with_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.writer = Writer::new(writer);
        (self.terminal, self.colour) = (false, false);
        self
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
            current::with(|cx| cx.get::<ScopedLogs>().cloned()).flatten()
        } else {
            None
        };
        if let Some(scoped) = scoped {
            scoped.push(LogRecord::of(&line));
        } else {
            scratch.line.clear();
            match self.format {
                Some(Format::Pretty) => pretty::write(&mut scratch.line, &line, self.colour),
                None if self.terminal => pretty::write(&mut scratch.line, &line, self.colour),
                _ => json::write(&mut scratch.line, &line),
            }
            self.writer.write(&scratch.line);
        }
        scratch.line.shrink_to(KEPT);
        let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
    }
}

//! What a JSON line looks like: its own keys, and what becomes of the others.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A key that a JSON line writes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// `timestamp`: RFC 3339, UTC, microseconds.
    Timestamp,
    /// `severity`: `TRACE` … `ERROR`.
    Severity,
    /// `message`.
    Message,
    /// `target`: the module.
    Target,
    /// `trace_id`.
    TraceId,
    /// `span_id`.
    SpanId,
    /// `trace_flags`: `01` or `00`.
    TraceFlags,
    /// `sampled`: `true`, `false` or `"pending"`.
    Sampled,
    /// `service.name`.
    Service,
    /// `span`: the name of the innermost span, for our own the function's; off unless
    /// [`with_span`](Json::with_span).
    Span,
    /// `code.file.path`; off unless [`with_source`](Json::with_source).
    File,
    /// `code.line.number`; off unless [`with_source`](Json::with_source).
    Line,
}

pub(super) const KEYS: [(Key, &str); 12] = [
    (Key::Timestamp, "timestamp"),
    (Key::Severity, "severity"),
    (Key::Message, "message"),
    (Key::Target, "target"),
    (Key::TraceId, "trace_id"),
    (Key::SpanId, "span_id"),
    (Key::TraceFlags, "trace_flags"),
    (Key::Sampled, "sampled"),
    (Key::Service, "service.name"),
    (Key::Span, "span"),
    (Key::File, "code.file.path"),
    (Key::Line, "code.line.number"),
];

type Rewrite =
    Arc<dyn Fn(&str, serde_json::Value) -> Option<(String, serde_json::Value)> + Send + Sync>;

/// How JSON lines look; made by [`json`].
#[derive(Clone)]
pub struct Json {
    names: [Cow<'static, str>; KEYS.len()],
    written: [bool; KEYS.len()],
    pub(super) renamed: Vec<(Box<str>, Box<str>)>,
    pub(super) omitted: Vec<Box<str>>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) nests: bool,
}

/// JSON lines: with no more said, as the [module](super) describes.
///
/// ```
/// use redspan::log::{self, Key};
///
/// let format = log::json()
///     .key(Key::Timestamp, "time")
///     .key(Key::Severity, "level")
///     .key(Key::Message, "msg")
///     .with_source()
///     .rename("order_id", "orderId")
///     .omit("internal");
/// let layer = log::layer().format(format);
/// # let _ = layer;
/// ```
pub fn json() -> Json {
    Json {
        names: KEYS.map(|(_, name)| Cow::Borrowed(name)),
        written: KEYS.map(|(key, _)| !matches!(key, Key::Span | Key::File | Key::Line)),
        renamed: Vec::new(),
        omitted: Vec::new(),
        rewrite: None,
        nests: false,
    }
}

impl Json {
    /// Names one of the line's own keys.
    #[must_use]
    pub fn key(mut self, key: Key, name: impl Into<Cow<'static, str>>) -> Self {
        self.names[key as usize] = name.into();
        self
    }

    /// The keys of Go's `slog.JSONHandler`: `time`, `level`, `msg`.
    #[must_use]
    pub fn slog_keys(self) -> Self {
        self.key(Key::Timestamp, "time").key(Key::Severity, "level").key(Key::Message, "msg")
    }

    /// Leaves one of the line's own keys out.
    #[must_use]
    pub fn without(mut self, key: Key) -> Self {
        self.written[key as usize] = false;
        self
    }

    /// Adds file and line of where the event is written.
    #[must_use]
    pub fn with_source(mut self) -> Self {
        (self.written[Key::File as usize], self.written[Key::Line as usize]) = (true, true);
        self
    }

    /// Adds the name of the innermost span: for an instrumented function its own, or what the
    /// attribute's `name` says.
    #[must_use]
    pub fn with_span(mut self) -> Self {
        self.written[Key::Span as usize] = true;
        self
    }

    /// Writes a field under another name.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        self.renamed.push((from.into(), to.into()));
        self
    }

    /// Leaves a field out.
    #[must_use]
    pub fn omit(mut self, field: &str) -> Self {
        self.omitted.push(field.into());
        self
    }

    /// Writes dotted names as objects: `http.method` and `http.status`, as a [group](crate::Logger::group)
    /// makes them, become `"http":{"method":…,"status":…}`. The line's own keys stay as they are, and so
    /// does a name whose beginning is a key by itself, such as `error.type` beside `error`. This costs a few
    /// allocations a line.
    ///
    /// ```
    /// let format = redspan::log::json().slog_keys().nested();
    /// # let _ = format;
    /// ```
    #[must_use]
    pub fn nested(mut self) -> Self {
        self.nests = true;
        self
    }

    /// Rewrites every field, after [`rename`](Self::rename), [`omit`](Self::omit) and redaction:
    /// `None` leaves it out. This costs a few allocations a field; a name that is taken gets a suffix.
    ///
    /// ```
    /// let format = redspan::log::json().rewrite(|key, value| match key {
    ///     "size" => Some(("size_kb".into(), (value.as_u64()? / 1_024).into())),
    ///     _ => Some((key.into(), value)),
    /// });
    /// # let _ = format;
    /// ```
    #[must_use]
    pub fn rewrite(
        mut self,
        rewrite: impl Fn(&str, serde_json::Value) -> Option<(String, serde_json::Value)>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.rewrite = Some(Arc::new(rewrite));
        self
    }

    pub(super) fn writes(&self, key: Key) -> bool {
        self.written[key as usize]
    }

    /// The names of the keys that are written, by place. A name given twice gets a suffix.
    pub(super) fn settled(&self) -> [Option<String>; KEYS.len()] {
        let mut settled = [const { None }; KEYS.len()];
        for (at, (name, written)) in self.names.iter().zip(self.written).enumerate() {
            if written {
                let mut own = name.clone().into_owned();
                let mut n = 2;
                while settled.iter().flatten().any(|other| *other == own) {
                    own = format!("{name}_{n}");
                    n += 1;
                }
                settled[at] = Some(own);
            }
        }
        settled
    }

    /// The names that no field may have by itself.
    pub(super) fn reserved(&self) -> impl Iterator<Item = Box<str>> {
        let own = self.settled().into_iter().flatten().map(String::into_boxed_str);
        own.chain(self.renamed.iter().map(|(_, to)| to.clone()))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").field("keys", &self.settled()).finish_non_exhaustive()
    }
}

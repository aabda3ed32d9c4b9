//! What spans and numbers are to say of a program.

use crate::databases::code;
use crate::steps::Around;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use sqlx::Error;
use std::collections::{BTreeMap, HashMap};

/// How the pool is called, and a wait for its connections.
pub(crate) const POOL: &str = "chance";
pub(crate) const WAIT: &str = "acquire chance";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With so many rows, if it counts them.
    Ok(Option<u64>),
    /// `error.type`, and whether that is the database's code.
    Failed(String, bool),
    Cancelled,
    Panicked,
}

impl Ending {
    pub(crate) fn of(error: &Error) -> Ending {
        let error_type = match error {
            Error::Database(_) => return Ending::Failed(code(error).unwrap_or_default(), true),
            Error::PoolTimedOut => "pool_timed_out",
            Error::PoolClosed => "pool_closed",
            Error::Protocol(_) => "protocol",
            Error::BeginFailed => "begin_failed",
            _ => "not to be expected",
        };
        Ending::Failed(error_type.to_owned(), false)
    }

    fn error_type(&self) -> Option<&str> {
        match self {
            Ending::Ok(_) => None,
            Ending::Failed(error_type, _) => Some(error_type),
            Ending::Cancelled => Some("cancelled"),
            Ending::Panicked => Some("panic"),
        }
    }

    /// Whether a span shows it.
    fn is_of(&self, span: &SpanData) -> bool {
        let text = |key: &str| {
            let mut all = span.attributes.iter().filter(|it| it.key.as_str() == key);
            all.next().map(|it| it.value.to_string())
        };
        let outcome = match self {
            Ending::Ok(_) | Ending::Failed(..) => None,
            Ending::Cancelled => Some("cancelled"),
            Ending::Panicked => Some("panic"),
        };
        let code = self.error_type().filter(|_| matches!(self, Ending::Failed(_, true)));
        let rows = if let Ending::Ok(rows) = self { rows.map(|it| it.to_string()) } else { None };
        let is_error = matches!(self, Ending::Failed(..) | Ending::Panicked);
        text("error.type").as_deref() == self.error_type()
            && text("db.response.status_code").as_deref() == code
            && text("db.response.returned_rows") == rows
            && (is_error || text("redspan.outcome").as_deref() == outcome)
            && matches!(span.status, Status::Error { .. }) == is_error
    }
}

/// What came of a wait for a connection.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    Ended(Ending),
    /// Either it was cancelled, or what it was for.
    Unknown,
}

/// What spans and numbers are to say of something.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) around: Around,
    pub(crate) wait: Option<Wait>,
    pub(crate) operation: Option<(&'static str, Ending)>,
    /// Whether it was polled at all.
    pub(crate) began: bool,
}

/// How a future has ended.
pub(crate) enum Ran<T> {
    Never,
    Ended(T),
    Dropped,
    Panicked,
}

impl<T> Ran<Result<T, Error>> {
    pub(crate) fn ending(&self, ok: impl FnOnce(&T) -> Ending) -> Option<Ending> {
        match self {
            Ran::Never => None,
            Ran::Ended(Ok(value)) => Some(ok(value)),
            Ran::Ended(Err(error)) => Some(Ending::of(error)),
            Ran::Dropped => Some(Ending::Cancelled),
            Ran::Panicked => Some(Ending::Panicked),
        }
    }

    /// If it had to wait for a connection first.
    pub(crate) fn wait(&self) -> Option<Wait> {
        match self {
            Ran::Never => None,
            Ran::Ended(Err(error @ (Error::PoolTimedOut | Error::PoolClosed))) => {
                Some(Wait::Ended(Ending::of(error)))
            }
            Ran::Dropped => Some(Wait::Unknown),
            Ran::Ended(_) | Ran::Panicked => Some(Wait::Ended(Ending::Ok(None))),
        }
    }

    pub(crate) fn ok(self) -> Option<T> {
        if let Ran::Ended(Ok(value)) = self { Some(value) } else { None }
    }
}

/// Spans that have ended, by their parents.
pub(crate) type Below = HashMap<SpanId, Vec<SpanData>>;

/// What matters of spans.
pub(crate) fn shown<'a>(spans: impl IntoIterator<Item = &'a SpanData>) -> String {
    let shown = |span: &SpanData| {
        let attributes = span.attributes.iter().map(|it| format!("{}={}", it.key, it.value));
        let attributes = attributes.filter(|it| !it.starts_with("server."));
        format!("{} [{}] {:?}", span.name, attributes.collect::<Vec<_>>().join(", "), span.status)
    };
    spans.into_iter().map(shown).collect::<Vec<_>>().join("; ")
}

/// What is measured.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// By `db.operation.name` and `error.type`.
    pub(crate) operations: BTreeMap<(String, String), u64>,
    /// Of the pool, by their names; of connections by their state.
    pub(crate) pool: BTreeMap<String, u64>,
}

impl Numbers {
    /// What a page says, up to now.
    pub(crate) fn of_page(page: &str) -> Numbers {
        let mut numbers = Numbers::default();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, rest)) = rest.split_once("} ") else { continue };
            let label = |key: &str| {
                let (_, value) = labels.split_once(&format!("{key}=\""))?;
                Some(value.split('"').next().unwrap_or_default().to_owned())
            };
            let value = rest.split(' ').next().and_then(|it| it.parse::<f64>().ok());
            let value = value.unwrap_or_default() as u64;
            if name == "db_client_operation_duration_seconds_count" {
                let operation = label("db_operation_name").unwrap_or_default();
                let key = (operation, label("error_type").unwrap_or_default());
                *numbers.operations.entry(key).or_default() += value;
            } else if let Some(name) = name.strip_prefix("db_client_connection_") {
                // Another pool of this name would be called `chance#2`: nothing is to be left of the one before.
                let pool = label("pool_name").filter(|it| it != POOL).unwrap_or_default();
                let state = label("connection_state").unwrap_or_default();
                numbers.pool.insert(format!("{pool}{name}{state}"), value);
            }
        }
        numbers
    }

    /// What has come since.
    pub(crate) fn since(&self, before: &Numbers) -> Numbers {
        let more = |(key, value): (&(String, String), &u64)| {
            let more = value - before.operations.get(key).copied().unwrap_or_default();
            (more > 0).then(|| (key.clone(), more))
        };
        let mut since = Numbers {
            operations: self.operations.iter().filter_map(more).collect(),
            pool: self.pool.clone(),
        };
        for (name, value) in &mut since.pool {
            if name.ends_with("_total") || name.ends_with("_seconds_count") {
                *value -= before.pool.get(name).copied().unwrap_or_default();
            }
        }
        since
    }

    pub(crate) fn of_pool(&self, name: &str) -> u64 {
        self.pool.get(name).copied().unwrap_or_default()
    }
}

/// What is to be measured, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) operations: BTreeMap<(String, String), u64>,
    pub(crate) waits: u64,
    pub(crate) timeouts: u64,
    /// At least, and how many more there may be.
    pub(crate) loans: (u64, u64),
    pub(crate) spans: usize,
}

impl Expected {
    /// Adds what was done, whose spans are taken: what is wrong with them.
    pub(crate) fn add(&mut self, done: &Done, below: &mut Below) -> Result<(), String> {
        let Done { id, around, wait, operation, began } = done;
        let mut spans = below.remove(&SpanId::from(*id)).unwrap_or_default();
        if around.is_in_call && around.is_sampled && *began {
            match &*spans {
                [call] if call.name == "call" => {
                    self.spans += 1;
                    spans = below.remove(&call.span_context.span_id()).unwrap_or_default();
                }
                _ => return Err(format!("{done:?} is no call: {}", shown(&spans))),
            }
        }
        self.spans += spans.len();
        let is_wait = |span: &SpanData| span.name == WAIT && span.span_kind == SpanKind::Internal;
        let (waits, operations): (Vec<_>, Vec<_>) = spans.into_iter().partition(is_wait);
        let mut is_right = true;

        if let Some((name, ending)) = operation {
            let error_type = ending.error_type().unwrap_or_default();
            *self.operations.entry(((*name).to_owned(), error_type.to_owned())).or_default() += 1;
            is_right &= match &*operations {
                [] => !around.is_sampled,
                [span] => {
                    let named = |it: &opentelemetry::KeyValue| {
                        it.key.as_str() == "db.operation.name" && it.value.as_str() == *name
                    };
                    let is_client = span.span_kind == SpanKind::Client;
                    let is_named = span.attributes.iter().any(named);
                    around.is_sampled && is_client && is_named && ending.is_of(span)
                }
                _ => false,
            };
        } else {
            is_right &= operations.is_empty();
        }

        self.waits += u64::from(wait.is_some());
        let shows = around.is_sampled && around.shows_waits;
        is_right &= match (wait, &*waits) {
            (None, []) => true,
            (Some(Wait::Ended(ending)), waits) => {
                let is_ok = *ending == Ending::Ok(None);
                self.loans.0 += u64::from(is_ok);
                self.timeouts += u64::from(ending.error_type() == Some("pool_timed_out"));
                let is_failed = matches!(ending, Ending::Failed(..));
                match waits {
                    [] => !(shows || around.is_sampled && is_failed),
                    [wait] => (shows || around.is_sampled && is_failed) && ending.is_of(wait),
                    _ => false,
                }
            }
            (Some(Wait::Unknown), [wait]) => {
                let was_lent = Ending::Ok(None).is_of(wait);
                self.loans.0 += u64::from(was_lent);
                shows && (was_lent || Ending::Cancelled.is_of(wait))
            }
            (Some(Wait::Unknown), []) => {
                self.loans.1 += 1;
                !shows
            }
            _ => false,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("{done:?} is {}", shown(waits.iter().chain(&operations)))),
        }
    }

    /// What is wrong with the numbers.
    pub(crate) fn compared(&self, numbers: &Numbers, (size, leaked): (u64, u64)) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.operations != numbers.operations {
            wrong.push(format!("{:?}, not {:?}", numbers.operations, self.operations));
        }
        let loans = numbers.of_pool("use_time_seconds_count");
        if !(self.loans.0..=self.loans.0 + self.loans.1).contains(&loans) {
            wrong.push(format!("{loans} loans, not {:?}", self.loans));
        }
        for (name, expected) in [
            ("wait_time_seconds_count", self.waits),
            ("timeouts_total", self.timeouts),
            ("pending_requests", 0),
            ("countused", leaked),
            ("countidle", size - leaked),
        ] {
            if numbers.of_pool(name) != expected {
                wrong.push(format!("{name} is not {expected}: {:?}", numbers.pool));
            }
        }
        if numbers.pool.keys().any(|name| name.starts_with(POOL)) {
            wrong.push(format!("a pool before is still there: {:?}", numbers.pool));
        }
        wrong
    }
}

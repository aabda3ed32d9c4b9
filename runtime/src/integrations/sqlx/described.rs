//! The database behind a pool, and what was learnt of its queries.

use super::text::{Dialect, Shown, shown};
use crate::integrations::kept::Kept;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use opentelemetry::KeyValue;
use sqlx_core::connection::{ConnectOptions, Connection};
use sqlx_core::database::Database;
use sqlx_core::pool::Pool;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

static METADATA: Metadata<'static> =
    Metadata::new("redspan::sqlx", Level::INFO, Some(module_path!()));

/// Queries whose text was read are remembered, up to this many: programs have few, unless they put
/// values into their texts.
const REMEMBERED: usize = 1_000;

/// A query, or a step of a transaction.
pub(super) struct Statement {
    pub(super) shown: Shown,
    pub(super) name: String,
    durations: Kept<Ended, Histogram>,
}

/// How an operation ended, as labels say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) error_type: Option<String>,
    pub(super) status_code: Option<String>,
}

impl Statement {
    fn new(shown: Shown) -> Arc<Self> {
        Arc::new(Statement { name: shown.summary(), shown, durations: Kept::new() })
    }
}

/// What the pool, its connections and their transactions share.
pub(super) struct Described {
    system: &'static str,
    dialect: Dialect,
    namespace: Option<String>,
    address: Option<String>,
    port: Option<u16>,
    pub(super) pool_name: String,
    pub(super) slow: Option<Duration>,
    pub(super) shows_text: bool,
    statements: RwLock<HashMap<Box<str>, Arc<Statement>>>,
    steps: [Arc<Statement>; 3],
    pool: Kept<(), PoolMetrics>,
    /// Connections that are lent out. A pool knows its idle ones only.
    used: AtomicI64,
}

/// <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>
#[derive(Clone)]
pub(super) struct PoolMetrics {
    used: Gauge,
    idle: Gauge,
    max: Gauge,
    pub(super) pending: Gauge,
    pub(super) timeouts: Counter,
    pub(super) wait_time: Histogram,
    pub(super) use_time: Histogram,
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Begin,
    Commit,
    Rollback,
}

fn system_and_dialect(name: &str) -> (&'static str, Dialect) {
    let ansi = Dialect {
        double_quoted_strings: false,
        backslashes: false,
        dollar_quotes: false,
        hash_comments: false,
    };
    match name {
        "PostgreSQL" => ("postgresql", Dialect { dollar_quotes: true, ..ansi }),
        "MySQL" => (
            "mysql",
            Dialect { double_quoted_strings: true, backslashes: true, hash_comments: true, ..ansi },
        ),
        "SQLite" => ("sqlite", ansi),
        // Whichever way it quotes, nothing of a string is shown.
        _ => ("other_sql", Dialect { double_quoted_strings: true, ..ansi }),
    }
}

impl Described {
    pub(super) fn of<DB: Database>(pool: &Pool<DB>) -> Self {
        let (system, dialect) = system_and_dialect(DB::NAME);
        let options = pool.connect_options();
        // A file's path is nobody's address. Other drivers need not have one, and say so by panicking.
        let url = (system != "sqlite").then(|| {
            catch_unwind(AssertUnwindSafe(|| {
                <<DB::Connection as Connection>::Options as ConnectOptions>::to_url_lossy(&options)
            }))
        });
        let url = url.and_then(Result::ok);
        let address = url.as_ref().and_then(|url| url.host_str()).filter(|host| !host.is_empty());
        let address = address.map(|host| host.trim_matches(['[', ']']).to_owned());
        let port = url.as_ref().and_then(|url| url.port_or_known_default());
        let namespace = url.as_ref().map(|url| url.path().trim_start_matches('/').to_owned());
        let namespace = namespace.filter(|name| !name.is_empty());
        let pool_name = namespace.clone().unwrap_or_else(|| system.to_owned());
        let step = |operation: &str| {
            let operation = operation.to_owned();
            Statement::new(Shown { text: operation.clone(), operation, collection: None })
        };
        Described {
            system,
            dialect,
            namespace,
            address,
            port,
            pool_name,
            slow: None,
            shows_text: true,
            statements: RwLock::default(),
            steps: [step("BEGIN"), step("COMMIT"), step("ROLLBACK")],
            pool: Kept::new(),
            used: AtomicI64::new(0),
        }
    }

    pub(super) fn step(&self, step: Step) -> Arc<Statement> {
        self.steps[step as usize].clone()
    }

    /// What was learnt of a query when it was first seen.
    pub(super) fn statement(&self, query: &str) -> Arc<Statement> {
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(statement) = known.get(query) {
            return statement.clone();
        }
        drop(known);
        let statement = Statement::new(shown(query, self.dialect));
        let mut known = self.statements.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < REMEMBERED {
            known.insert(query.into(), statement.clone());
        }
        statement
    }

    /// <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>
    pub(super) fn attributes(&self, statement: &Statement) -> Vec<KeyValue> {
        let mut attributes = self.place();
        attributes.push(KeyValue::new("db.operation.name", statement.shown.operation.clone()));
        attributes.push(KeyValue::new("db.query.summary", statement.name.clone()));
        if let Some(collection) = &statement.shown.collection {
            attributes.push(KeyValue::new("db.collection.name", collection.clone()));
        }
        if self.shows_text {
            attributes.push(KeyValue::new("db.query.text", statement.shown.text.clone()));
        }
        attributes
    }

    /// Where the database is.
    pub(super) fn place(&self) -> Vec<KeyValue> {
        let mut place = Vec::with_capacity(9);
        place.push(KeyValue::new("db.system.name", self.system));
        place.extend(self.namespace.clone().map(|name| KeyValue::new("db.namespace", name)));
        place.extend(self.address.clone().map(|host| KeyValue::new("server.address", host)));
        place.extend(self.port.map(|port| KeyValue::new("server.port", i64::from(port))));
        place
    }

    /// The histogram of an operation that ended in this way.
    pub(super) fn duration(&self, statement: &Statement, ended: &Ended) -> Histogram {
        statement.durations.get("", ended, |recorder| {
            recorder.describe_histogram(
                KeyName::from_const_str("db.client.operation.duration"),
                Some(Unit::Seconds),
                "Duration of database client operations".into(),
            );
            let mut labels = vec![
                Label::from_static_parts("db.system.name", self.system),
                Label::new("db.operation.name", statement.shown.operation.clone()),
                Label::new("db.query.summary", statement.name.clone()),
            ];
            let mut optional = |name: &'static str, value: &Option<String>| {
                labels.extend(value.as_ref().map(|value| Label::new(name, value.clone())));
            };
            optional("db.collection.name", &statement.shown.collection);
            optional("db.namespace", &self.namespace);
            optional("server.address", &self.address);
            optional("server.port", &self.port.map(|port| port.to_string()));
            optional("error.type", &ended.error_type);
            optional("db.response.status_code", &ended.status_code);
            let key = Key::from_parts("db.client.operation.duration", labels);
            recorder.register_histogram(&key, &METADATA)
        })
    }

    pub(super) fn pool_metrics(&self) -> PoolMetrics {
        self.pool.get("", &(), |recorder| PoolMetrics::new(recorder, &self.pool_name))
    }

    /// A connection was lent out (1) or given back (-1).
    pub(super) fn lent<DB: Database>(&self, pool: &Pool<DB>, change: i64) {
        let used = self.used.fetch_add(change, Relaxed) + change;
        let metrics = self.pool_metrics();
        let size = i64::from(pool.size());
        metrics.used.set(used as f64);
        metrics.idle.set((size - used).max(0) as f64);
        metrics.max.set(f64::from(pool.options().get_max_connections()));
    }
}

impl PoolMetrics {
    fn new(recorder: &dyn Recorder, pool: &str) -> Self {
        let key = |name: &'static str, state: Option<&'static str>| {
            let mut labels = vec![Label::new("db.client.connection.pool.name", pool.to_owned())];
            let state = state.map(|s| Label::from_static_parts("db.client.connection.state", s));
            labels.extend(state);
            Key::from_parts(name, labels)
        };
        let gauge = |name: &'static str, state, help: &'static str| {
            recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
            recorder.register_gauge(&key(name, state), &METADATA)
        };
        let seconds = |name: &'static str, help: &'static str| {
            let unit = Some(Unit::Seconds);
            recorder.describe_histogram(KeyName::from_const_str(name), unit, help.into());
            recorder.register_histogram(&key(name, None), &METADATA)
        };
        let timeouts = "db.client.connection.timeouts";
        let help = "Connections that were not there in time";
        recorder.describe_counter(KeyName::from_const_str(timeouts), None, help.into());
        let count = "db.client.connection.count";
        let state_help = "Connections that are idle or used";
        PoolMetrics {
            used: gauge(count, Some("used"), state_help),
            idle: gauge(count, Some("idle"), state_help),
            max: gauge("db.client.connection.max", None, "Connections that the pool may open"),
            pending: gauge(
                "db.client.connection.pending_requests",
                None,
                "Requests that wait for a connection",
            ),
            timeouts: recorder.register_counter(&key(timeouts, None), &METADATA),
            wait_time: seconds(
                "db.client.connection.wait_time",
                "How long it took to obtain a connection",
            ),
            use_time: seconds(
                "db.client.connection.use_time",
                "How long a connection was lent out",
            ),
        }
    }
}

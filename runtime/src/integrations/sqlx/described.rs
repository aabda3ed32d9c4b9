//! The database behind a pool, and what was learnt of its queries.

use super::place::Place;
use super::pooled::{Ask, Pooled, ask};
use super::statements::{Ended, Found, Statement, Statements, shared};
use super::text::{Shown, shown};
use super::tokens::Dialect;
use crate::integrations::interned::word;
use crate::span::common::Shared;
use metrics::{Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use opentelemetry::KeyValue;
use sqlx_core::database::Database;
use sqlx_core::pool::Pool;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

static METADATA: Metadata<'static> =
    Metadata::new("redspan::sqlx", Level::INFO, Some(module_path!()));

/// What the pool, its connections and their transactions share.
pub(super) struct Described {
    pub(super) system: &'static str,
    dialect: Dialect,
    namespace: Option<String>,
    address: Option<String>,
    port: Option<u16>,
    pub(super) codes: Codes,
    /// `db.client.connection.pool.name`, if no other pool has it.
    pool_name: String,
    /// How a wait for a connection is called.
    waits: String,
    /// Shorter ones are no spans.
    pub(super) least_wait: Duration,
    /// Its name in spans, and what each has from the beginning.
    of_waits: OnceLock<(Cow<'static, str>, Shared)>,
    pub(super) slow: Option<Duration>,
    pub(super) shows_text: bool,
    statements: Statements,
    /// As [`STEPS`].
    steps: [[Statement; 2]; 3],
    ask: Ask,
    /// Shared by all who describe this pool under this name.
    pooled: Arc<OnceLock<Arc<Pooled>>>,
}

/// What a database calls the errors that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    /// By SQLSTATE, or whatever the driver has for a code.
    Driver,
    /// By a number of its own, as MySQL and MariaDB do.
    Number,
}

/// A step of a transaction, or of a savepoint within one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Begin,
    Commit,
    Rollback,
}

/// What is sent for each of them, but for a savepoint's name, which is sqlx's own.
const STEPS: [[&str; 2]; 3] = [
    ["BEGIN", "SAVEPOINT"],
    ["COMMIT", "RELEASE SAVEPOINT"],
    ["ROLLBACK", "ROLLBACK TO SAVEPOINT"],
];

impl Described {
    pub(super) fn of<DB: Database>(pool: &Pool<DB>) -> Self {
        let Place { system, dialect, address, port, namespace } =
            Place::of::<DB>(&pool.connect_options());
        // As the conventions want it where nobody has given a name.
        let pool_name = match (&address, port) {
            (Some(host), Some(port)) => {
                format!("{host}:{port}/{}", namespace.as_deref().unwrap_or_default())
            }
            _ => namespace.clone().unwrap_or_else(|| system.to_owned()),
        };
        let waits = format!("acquire {}", namespace.as_deref().unwrap_or(system));
        let codes = if dialect == Dialect::MySql { Codes::Number } else { Codes::Driver };
        let step = |operation: &str| Statement::new(Shown::verb(operation));
        Described {
            system,
            dialect,
            namespace,
            address,
            port,
            codes,
            pool_name,
            waits,
            least_wait: Duration::ZERO,
            of_waits: OnceLock::new(),
            slow: None,
            shows_text: true,
            statements: Statements::new(),
            steps: STEPS.map(|words| words.map(step)),
            ask: ask(pool.clone()),
            pooled: Arc::default(),
        }
    }

    /// The same once more, to be changed. It learns the queries anew: what goes on under the old one keeps
    /// what it has.
    pub(super) fn again<DB: Database>(&self, pool: &Pool<DB>) -> Self {
        Described {
            system: self.system,
            pool_name: self.pool_name.clone(),
            waits: self.waits.clone(),
            least_wait: self.least_wait,
            slow: self.slow,
            shows_text: self.shows_text,
            pooled: self.pooled.clone(),
            ..Described::of(pool)
        }
    }

    pub(super) fn rename(&mut self, name: String) {
        self.waits = format!("acquire {name}");
        self.pool_name = name;
        self.pooled = Arc::default();
        self.of_waits = OnceLock::new();
    }

    /// `depth` transactions and savepoints are open around it.
    pub(super) fn step(&self, step: Step, depth: usize) -> Found<'_> {
        Found::Remembered(&self.steps[step as usize][usize::from(depth > 0)])
    }

    /// What was learnt of a query when it was first seen.
    pub(super) fn statement(&self, query: &str) -> Found<'_> {
        self.statements.find(query, |query| Statement::new(shown(query, self.dialect)))
    }

    /// A query that the database is asked about, and which does not run.
    pub(super) fn asked(&self, operation: &str, query: &str) -> Found<'_> {
        // No query has a NUL: the one that does run is another.
        let key = format!("{operation}\0{query}");
        let operation = operation.to_owned();
        self.statements
            .find(&key, |_| Statement::new(Shown { operation, ..shown(query, self.dialect) }))
    }

    /// <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>
    pub(super) fn attributes(&self, statement: &Found<'_>) -> Shared {
        let common = || match statement {
            Found::Remembered(_) => Shared::kept(self.attributes_of(statement)),
            Found::Passing(_) => Shared::counted(self.attributes_of(statement)),
        };
        statement.common.get_or_init(common).clone()
    }

    fn attributes_of(&self, statement: &Statement) -> Vec<KeyValue> {
        let mut attributes = self.place();
        attributes.push(KeyValue::new("db.operation.name", shared(&statement.shown.operation)));
        attributes.push(KeyValue::new("db.query.summary", statement.name.clone()));
        if let Some(collection) = &statement.shown.collection {
            attributes.push(KeyValue::new("db.collection.name", shared(collection)));
        }
        if let Some(procedure) = &statement.shown.procedure {
            attributes.push(KeyValue::new("db.stored_procedure.name", shared(procedure)));
        }
        if self.shows_text {
            attributes.push(KeyValue::new("db.query.text", shared(&statement.shown.text)));
        }
        attributes
    }

    fn of_wait(&self) -> &(Cow<'static, str>, Shared) {
        self.of_waits.get_or_init(|| {
            let mut attributes = self.place();
            let name = shared(&self.pooled().name);
            attributes.push(KeyValue::new("db.client.connection.pool.name", name));
            (word(&self.waits), Shared::kept(attributes))
        })
    }

    /// The name of a wait for a connection.
    pub(super) fn name_of_wait(&self) -> Cow<'static, str> {
        self.of_wait().0.clone()
    }

    pub(super) fn attributes_of_wait(&self) -> Shared {
        self.of_wait().1.clone()
    }

    /// Where the database is.
    fn place(&self) -> Vec<KeyValue> {
        let mut place = Vec::with_capacity(10);
        place.push(KeyValue::new("db.system.name", self.system));
        let known = |name: &'static str, value: &Option<String>| {
            value.as_ref().map(|value| KeyValue::new(name, shared(value)))
        };
        place.extend(known("db.namespace", &self.namespace));
        place.extend(known("server.address", &self.address));
        place.extend(self.port.map(|port| KeyValue::new("server.port", i64::from(port))));
        place
    }

    /// Records how long an operation took that ended in this way.
    pub(super) fn took(&self, took: Duration, statement: &Statement, ended: &Ended) {
        let make = |recorder: &dyn Recorder| {
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
            optional("db.stored_procedure.name", &statement.shown.procedure);
            optional("db.namespace", &self.namespace);
            optional("server.address", &self.address);
            optional("server.port", &self.port.map(|port| port.to_string()));
            optional("error.type", &ended.error_type);
            optional("db.response.status_code", &ended.status_code);
            let key = Key::from_parts("db.client.operation.duration", labels);
            recorder.register_histogram(&key, &METADATA)
        };
        let record = |histogram: &Histogram| histogram.record(took.as_secs_f64());
        statement.durations.with("", ended, make, record);
    }

    /// The pool has no connections any more.
    pub(super) fn closed(&self) {
        if let Some(pooled) = self.pooled.get() {
            pooled.closed();
        }
    }

    /// The connections of the pool, counted since they were first asked for.
    pub(super) fn pooled(&self) -> &Arc<Pooled> {
        self.pooled.get_or_init(|| Pooled::begin(&self.pool_name, self.ask.clone()))
    }
}

//! What a span says of its error.

use super::chain;
use super::record::Live;
use crate::callsite::line::InShort;
use crate::clock::{self, Tick};
use crate::error_type::Blame;
use opentelemetry::trace::{SpanContext, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::borrow::Cow;
use tracing_core::Level;

/// An error, in words.
#[derive(Debug)]
pub(crate) struct Failed {
    /// `error.type`: of low cardinality.
    pub(crate) error_type: Cow<'static, str>,
    pub(crate) message: Option<String>,
    /// The errors behind it, the innermost last.
    pub(crate) sources: Vec<String>,
    /// What the error itself says, if it says anything.
    pub(crate) told: Option<Told>,
}

/// What an error says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) error_type: &'static str,
    /// Its Rust type.
    pub(crate) exception_type: &'static str,
    pub(crate) blame: Blame,
    pub(crate) retryable: bool,
    pub(crate) level: Level,
}

impl Failed {
    /// An error whose type says it all.
    pub(crate) fn of_type(error_type: impl Into<Cow<'static, str>>) -> Self {
        Failed { error_type: error_type.into(), message: None, sources: Vec::new(), told: None }
    }

    pub(crate) fn panic() -> Self {
        Failed::of_type("panic")
    }

    /// Type, message and chain, for a line, and its level.
    pub(crate) fn in_short(&self) -> InShort<'_> {
        let level = self.told.map(|told| told.level);
        (&self.error_type, self.message.as_deref(), &self.sources, level)
    }

    /// Writes status, `error.type`, and, where the error first leaves a call, the event `exception`
    /// with its source chain, at the moment that the span ends.
    /// <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>
    pub(super) fn write(self, live: &mut Live, context: &SpanContext, end: Tick) {
        let Failed { error_type, message, sources, told } = self;
        if *live.status() == Status::Unset {
            // A panic has no message here: its payload was not named.
            let words = message.clone().unwrap_or_else(|| match &*error_type {
                "panic" => String::from("panic"),
                _ => String::new(),
            });
            live.extra().status = Status::error(words);
        }
        let root = sources.last().or(message.as_ref());
        let described =
            root.is_some_and(|root| chain::described_below(context, live.local_parent(), root));
        live.set(KeyValue::new("error.type", error_type.clone()));
        if let Some(told) = &told {
            live.set(KeyValue::new("redspan.error.blame", told.blame.as_str()));
            if told.retryable {
                live.set(KeyValue::new("redspan.error.retryable", true));
            }
        }
        if message.is_some() && !described {
            let about = Failed { error_type, message, sources, told }.about();
            live.extra().event(Cow::Borrowed("exception"), clock::system_time(end), about);
        }
    }

    /// The attributes of the event `exception`. An error without a type of its own has none there.
    pub(crate) fn about(self) -> Vec<KeyValue> {
        let Failed { error_type, message, sources, told } = self;
        let mut about = Vec::with_capacity(4);
        // `exception.type` is the Rust type, also where `error.type` is a word of its own.
        let error_type = told.map_or(error_type, |told| Cow::Borrowed(told.exception_type));
        if !error_type.is_empty() {
            about.push(KeyValue::new("exception.type", error_type));
        }
        if let Some(message) = message {
            about.push(KeyValue::new("exception.message", message));
        }
        if !sources.is_empty() {
            let sources = sources.into_iter().map(StringValue::from).collect();
            about.push(KeyValue::new(
                "redspan.exception.chain",
                Value::Array(Array::String(sources)),
            ));
        }
        if let Some(told) = told {
            about.push(KeyValue::new("level", told.level.as_str()));
        }
        about
    }
}

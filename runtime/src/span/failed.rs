//! What a span says of its error.

use super::chain;
use super::record::Live;
use crate::clock;
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::borrow::Cow;

/// An error, in words.
#[derive(Debug)]
pub(crate) struct Failed {
    /// `error.type`: of low cardinality.
    pub(crate) error_type: Cow<'static, str>,
    pub(crate) message: Option<String>,
    /// The errors behind it, the innermost last.
    pub(crate) sources: Vec<String>,
}

impl Failed {
    pub(crate) fn panic() -> Self {
        Failed { error_type: Cow::Borrowed("panic"), message: None, sources: Vec::new() }
    }

    /// Writes status, `error.type`, and, where the error first leaves a call, the event `exception`
    /// with its source chain.
    /// <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>
    pub(super) fn write(self, live: &mut Live) {
        let Failed { error_type, message, sources } = self;
        if live.status == Status::Unset {
            // A panic has no message here: its payload was not named.
            let words = message.clone().unwrap_or_else(|| match &*error_type {
                "panic" => String::from("panic"),
                _ => String::new(),
            });
            live.status = Status::error(words);
        }
        let root = sources.last().or(message.as_ref());
        let described = root
            .is_some_and(|root| chain::described_below(&live.context, live.local_parent(), root));
        let extra = live.extra.get_or_insert_default();
        extra.set(KeyValue::new("error.type", error_type.clone()));
        if message.is_some() && !described {
            let about = Failed { error_type, message, sources }.about();
            extra.event(Cow::Borrowed("exception"), clock::system_time(clock::now()), about);
        }
    }

    /// The attributes of the event `exception`. An error without a type of its own has none there.
    pub(crate) fn about(self) -> Vec<KeyValue> {
        let Failed { error_type, message, sources } = self;
        let mut about = Vec::with_capacity(3);
        if !error_type.is_empty() {
            about.push(KeyValue::new("exception.type", error_type));
        }
        if let Some(message) = message {
            about.push(KeyValue::new("exception.message", message));
        }
        if !sources.is_empty() {
            let sources = sources.into_iter().map(StringValue::from).collect();
            about.push(KeyValue::new("exception.chain", Value::Array(Array::String(sources))));
        }
        about
    }
}

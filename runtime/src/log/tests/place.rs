//! What is known of a place's fields is what its events would have said themselves.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::{Event, Subscriber, info, subscriber::with_default};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{registry, reload};

use super::Output;
use crate::log::fields::{Fields, Recorder};
use crate::log::names::Reserved;
use crate::log::place::Place;
use crate::log::{LogLayer, Unit, logger};
use crate::redact::Redaction;

/// What an event's fields are without a place, and with one that such a redaction has looked at.
#[derive(Clone)]
struct Both {
    place_of: Arc<Redaction>,
    redaction: Arc<Redaction>,
    seen: Arc<Mutex<Vec<[Vec<String>; 2]>>>,
}

impl<S: Subscriber> Layer<S> for Both {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let reserved: Reserved = ["message", "level", "level_3"].into_iter().collect();
        let place = Place::of(event.metadata(), &self.place_of, &reserved);
        let fields = [None, Some(&place)].map(|place| {
            let mut fields = Fields::default();
            let unit = Unit::default();
            let mut recorder = Recorder::new(&mut fields, &reserved, &self.redaction, unit, false);
            if let Some(place) = place {
                recorder = recorder.at(place);
            }
            event.record(&mut recorder);
            recorder.leave_group();
            // As a scope's fields: they come after the event's.
            for key in ["a", "level", "other"] {
                recorder.bound(&key.into(), &"bound".into());
            }
            recorder.finish();
            let shown = |(name, value): (&str, &_)| {
                let json = crate::log::record::json(&fields, value);
                format!("{name}={json}")
            };
            let message = format!("{:?}", fields.message());
            std::iter::once(message).chain(fields.iter().map(shown)).collect()
        });
        self.seen.lock().unwrap().push(fields);
    }
}

fn both(place_of: &Arc<Redaction>, redaction: &Arc<Redaction>) -> Vec<[Vec<String>; 2]> {
    let (place_of, redaction) = (Arc::clone(place_of), Arc::clone(redaction));
    let layer = Both { place_of, redaction, seen: Arc::default() };
    let seen = Arc::clone(&layer.seen);
    let failed = std::io::Error::other("failed");
    let error = &failed as &(dyn std::error::Error + 'static);
    let log = logger().with("a", 1).with("token", "t").group("g");
    with_default(registry().with(layer), || {
        info!(a = 1, b = -2_i64, c = 0.5, d = true, e = "text", f = ?Some(1), g = %"shown", "said {}", 1);
        info!(password = "hunter2", auth.token = 17, error, "secret");
        info!(level = "high", level_2 = "higher", a = 1, "forged");
        info!(r#type = "keyword", a = 1, big = u128::MAX, "raw");
        info!(a = 1, a = 2, a_2 = 3, "twice");
        info!(message = 17, other = 1);
        info!(a = None::<u64>, b = Some(1), "left out");
        crate::info!(log, a = 2, b = 3, "bound");
        let log = logger().with("level", 1).with("b", 2).with("api_key", 3);
        crate::info!(log, a = 2, b = 3, level_2 = 4, level_3 = 5, "bound, without a group");
        crate::info!(log, c = 2, "bound, and no name is another's");
        let failed = &Failed(std::io::Error::other("source")) as &(dyn std::error::Error + 'static);
        info!(failed, failed.chain = "own", "chained");
    });
    std::mem::take(&mut seen.lock().unwrap())
}

#[test]
fn a_field_reads_the_same_with_and_without_what_its_place_knows() {
    let redaction = Arc::new(Redaction::default());
    let seen = both(&redaction, &redaction);
    assert_eq!(seen.len(), 11);
    for [without, with] in &seen {
        assert_eq!(without, with);
    }
    let expected =
        ["Some(\"left out\")", "b=1", "a=\"bound\"", "level_2=\"bound\"", "other=\"bound\""];
    assert_eq!(seen[6][1], expected, "a name that no value came with is free");
}

/// It has a source.
#[derive(Debug)]
struct Failed(std::io::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn what_one_redaction_let_pass_another_still_hides() {
    let seen = both(&Arc::new(Redaction::none()), &Arc::new(Redaction::default()));
    for [without, with] in &seen {
        assert_eq!(without, with);
        assert!(!with.iter().any(|field| field.contains("hunter2")), "{with:?}");
    }
}

#[test]
fn a_layer_that_is_told_more_later_forgets_what_it_knew_of_its_places() {
    let output = Output::default();
    let layer = crate::log::layer().json().with_writer(output.clone());
    let said = layer.handle();
    let (layer, handle) = reload::Layer::new(layer.redact(Redaction::none()));
    with_default(registry().with(layer), || {
        for round in 0..2 {
            info!(note = "hunter2", round);
            let more = |layer: &mut LogLayer| {
                let old = std::mem::replace(layer, crate::log::layer().with_writer(io::sink()));
                *layer = old.redact(Redaction::none().key("note"));
            };
            handle.modify(more).unwrap();
        }
    });
    let lines = output.take(&said);
    let [before, after] = lines.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(before.contains("hunter2") && !after.contains("hunter2"), "{lines}");
}

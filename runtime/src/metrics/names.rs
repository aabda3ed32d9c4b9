//! Which names are taken, by whom, and how much room each metric has left.

use crate::label::OVERFLOW;
use crate::metrics::labels::{self, SCOPE_LABELS};
use crate::metrics::snapshot::OWN;
use crate::metrics::store::{Kind, Limits};
use crate::metrics::unit;
use metrics::{Key, KeyName, Label};
use std::collections::HashMap;
use std::fmt;

/// A metric that has found room.
pub(crate) struct Named {
    /// The family's name in Prometheus, without the suffix that a counter's samples carry.
    pub(crate) shown: String,
    /// Who made it.
    pub(crate) source: String,
    pub(crate) limit: usize,
    series: usize,
    /// The one series for everything over the limit. Its label names are those of the first key
    /// that found no room: label names are the user's too, and may be without bound.
    overflow: Option<Key>,
    overflowed: u64,
    /// Whether a label set has found no room.
    full: bool,
}

/// Why a metric cannot have its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) source: String,
    /// What both would be called in Prometheus.
    pub(crate) shown: String,
    pub(crate) owner: Owner,
}

/// Whose a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) source: String,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Taken { name, source, shown, owner } = self;
        let own = format!("metric `{name}` ({source})");
        if owner.name == *name {
            return write!(f, "{own} is already made ({})", owner.source);
        }
        let Owner { name: other, source: place } = owner;
        write!(
            f,
            "{own} and metric `{other}` ({place}) would both be `{shown}` in Prometheus: rename one"
        )
    }
}

/// All names of a store.
pub(crate) struct Names {
    by_name: HashMap<Kind, HashMap<KeyName, Named>>,
    /// Every name that is taken, by a family or one of its samples.
    claims: HashMap<String, Owner>,
    count: usize,
    series: usize,
    /// Metrics that found no room at all.
    refused: u64,
    /// Whether there is no room for further names, as was said.
    full: bool,
}

/// Where a key's values go.
pub(crate) enum Place {
    Own(Key),
    Overflow(Key, bool),
    Nowhere(bool),
    Taken(Box<Taken>),
}

/// What is to be known of a metric to give it a place.
pub(crate) struct Wanted<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a KeyName,
    pub(crate) shown: String,
    pub(crate) source: String,
    pub(crate) limit: usize,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Names {
            by_name: HashMap::new(),
            claims: HashMap::new(),
            count: 0,
            series: 0,
            refused: 0,
            full: false,
        };
        // The names that dashboards know are not to be taken, whether there is something to show or
        // not: else a metric of the user's would lose its name in the middle of its life.
        for &(name, kind) in OWN {
            let owner = Owner { name: name.to_owned(), source: "redspan's own".to_owned() };
            let _ = names.claim(name, kind, owner);
        }
        names
    }
}

impl Names {
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<&Named> {
        self.by_name.get(&kind)?.get(name)
    }

    /// Takes a family's names, or says which one is taken, and by whom.
    fn claim(&mut self, shown: &str, kind: Kind, owner: Owner) -> Result<(), (String, Owner)> {
        let suffixes: &[&str] = match kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge | Kind::UpDown => &[""],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        };
        let names = || suffixes.iter().map(|suffix| format!("{shown}{suffix}"));
        if let Some((taken, by)) = names().find_map(|name| self.claims.get_key_value(&name)) {
            return Err((taken.clone(), by.clone()));
        }
        self.claims.extend(names().map(|name| (name, owner.clone())));
        Ok(())
    }

    /// Takes the name for a metric that has none yet. `Ok(None)`: there is no room for further names.
    pub(crate) fn define(
        &mut self,
        wanted: Wanted<'_>,
        limits: Limits,
    ) -> Result<Option<&mut Named>, Box<Taken>> {
        let Wanted { kind, name, shown, source, limit } = wanted;
        if name.as_str().len() > labels::MAX_NAME {
            // It is counted, and told, where it is to have a series.
            return Ok(None);
        }
        if self.count >= limits.names {
            self.refused += 1;
            return Ok(None);
        }
        let owner = Owner { name: name.as_str().to_owned(), source: source.clone() };
        if let Err((taken, owner)) = self.claim(&shown, kind, owner) {
            let name = name.as_str().to_owned();
            return Err(Box::new(Taken { name, source, shown: taken, owner }));
        }
        self.count += 1;
        let (series, overflow, overflowed, full) = (0, None, 0, false);
        let named = Named { shown, source, limit, series, overflow, overflowed, full };
        let by_name = self.by_name.entry(kind).or_default();
        Ok(Some(by_name.entry(name.to_retained()).or_insert(named)))
    }

    /// Finds a place for a key whose metric is defined, or defines it as `wanted` says.
    pub(crate) fn place<'a>(
        &mut self,
        kind: Kind,
        key: &Key,
        limits: Limits,
        wanted: impl FnOnce() -> Wanted<'a>,
    ) -> Place {
        if self.get(kind, key.name()).is_none() {
            match self.define(wanted(), limits) {
                Ok(Some(_)) => {}
                Ok(None) => return Place::Nowhere(!std::mem::replace(&mut self.full, true)),
                Err(taken) => return Place::Taken(taken),
            }
        }
        let by_name = self.by_name.get_mut(&kind);
        let Some(named) = by_name.and_then(|it| it.get_mut(key.name())) else {
            return Place::Nowhere(false);
        };
        let too_long = labels::too_long(key).is_some();
        if !too_long && named.series < named.limit && self.series < limits.series {
            named.series += 1;
            self.series += 1;
            // A key of borrowed parts is cloned for every reader; a retained one is shared.
            return Place::Own(key.to_retained());
        }
        named.overflowed += 1;
        let first = !too_long && !std::mem::replace(&mut named.full, true);
        let overflow = named.overflow.get_or_insert_with(|| {
            let labels: Vec<Label> = key
                .labels()
                .map(|label| match SCOPE_LABELS.contains(&label.key()) {
                    true => label.clone(),
                    false => Label::new(label.key().to_owned(), OVERFLOW),
                })
                .collect();
            Key::from_parts(key.name().to_owned(), labels).to_retained()
        });
        Place::Overflow(overflow.clone(), first)
    }

    /// A series is not to be made at all.
    pub(crate) fn refuse(&mut self) {
        self.refused += 1;
    }

    /// A value was sent to [`OVERFLOW`] before it came here.
    pub(crate) fn overflow(&mut self, kind: Kind, name: &str) {
        let by_name = self.by_name.get_mut(&kind);
        if let Some(named) = by_name.and_then(|it| it.get_mut(name)) {
            named.overflowed += 1;
        }
    }

    /// A series is gone: its place is free.
    pub(crate) fn forget(&mut self, kind: Kind, key: &Key) {
        let by_name = self.by_name.get_mut(&kind);
        if let Some(named) = by_name.and_then(|it| it.get_mut(key.name()))
            && named.overflow.as_ref() != Some(key)
        {
            named.series = named.series.saturating_sub(1);
            self.series = self.series.saturating_sub(1);
        }
    }

    /// How often a metric's values were sent to its overflow series, by metric; under
    /// [`OVERFLOW`] the metrics that found no room at all.
    pub(crate) fn overflowed(&self) -> Vec<(String, u64)> {
        let mut by_name: HashMap<&str, u64> = HashMap::new();
        for (name, named) in self.by_name.values().flatten() {
            if named.overflowed > 0 {
                *by_name.entry(name.as_str()).or_default() += named.overflowed;
            }
        }
        if self.refused > 0 {
            *by_name.entry(OVERFLOW).or_default() += self.refused;
        }
        by_name.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }
}

/// The family's name for a metric whose name is to be taken as it is: made valid, and without the
/// suffix that a counter's samples carry anyhow.
pub(crate) fn as_written(name: &str, kind: Kind) -> String {
    let shown = labels::metric_name(name);
    match kind {
        Kind::Counter => without_total(&shown).to_owned(),
        _ => shown.into_owned(),
    }
}

/// The family's name for a metric that was named by OpenTelemetry's rules: dots become underscores,
/// and the unit stands at the end.
/// <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>
pub(crate) fn by_rules(name: &str, unit: &str, kind: Kind) -> String {
    let valid = labels::metric_name(name);
    let mut shown = String::with_capacity(valid.len());
    for c in valid.chars() {
        // Of neighbouring underscores one stays.
        if c != '_' || !shown.ends_with('_') {
            shown.push(c);
        }
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        // The digit says more than the underscore that stands for it.
        shown =
            format!("_{}", name.chars().take(1).chain(shown.chars().skip(1)).collect::<String>());
    }
    if kind == Kind::Counter {
        shown = without_total(&shown).to_owned();
    }
    let words = match unit {
        "1" if matches!(kind, Kind::Gauge) => "ratio".into(),
        unit => unit::words(unit),
    };
    if !words.is_empty() && !ends_in(&shown, &words) {
        shown = format!("{}_{words}", shown.trim_end_matches('_'));
    }
    shown
}

fn without_total(name: &str) -> &str {
    name.strip_suffix("_total").filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// Whether a family's name ends in these words.
pub(crate) fn ends_in(name: &str, words: &str) -> bool {
    name.strip_suffix(words).is_some_and(|rest| rest.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_both_sides() {
        use Kind::{Counter, Gauge, Histogram, UpDown};
        for (name, unit, kind, shown) in [
            (
                "http.server.request.duration",
                "s",
                Histogram,
                "http_server_request_duration_seconds",
            ),
            ("wait_seconds", "s", Histogram, "wait_seconds"),
            ("orders", "{order}", Counter, "orders"),
            ("orders.total", "", Counter, "orders"),
            ("sent", "By", Counter, "sent_bytes"),
            ("cpu.utilization", "1", Gauge, "cpu_utilization_ratio"),
            ("jobs", "1", UpDown, "jobs"),
            ("a..b__c", "", Gauge, "a_b_c"),
            ("2fa.used", "", Counter, "_2fa_used"),
            ("revenue", "EUR", Counter, "revenue_EUR"),
            ("speed", "m/s", Gauge, "speed_meters_per_second"),
        ] {
            assert_eq!(by_rules(name, unit, kind), shown);
        }
        assert_eq!(as_written("a..b_total", Counter), "a__b");
    }
}

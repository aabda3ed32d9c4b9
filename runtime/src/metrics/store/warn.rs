//! What users are told of metrics that find no room, once each.

use super::Store;
use crate::home;
use crate::label::OVERFLOW;
use crate::metrics::labels::MAX_VALUE;
use crate::metrics::made::{Kind, Made};
use crate::metrics::names::Names;
use std::collections::{BTreeMap, HashSet};

impl Store {
    /// Whether the user was not yet told `about` this.
    pub(crate) fn warn_once(&self, about: &str) -> bool {
        let Some(mut warned) = home::lock(&self.warned) else { return false };
        warned.len() < self.limits.names
            && !warned.contains(about)
            && warned.insert(about.to_owned())
    }

    fn count(&self, what: impl FnOnce(&mut Names)) {
        home::lock(&self.names).as_deref_mut().map(what);
    }

    #[cold]
    pub(super) fn warn_full<S: Made>(&self, name: &str) {
        let limit = self.named(S::KIND, name, |named| named.limit).unwrap_or(0);
        // The label that has the most values is the one to look at. The overflow is none of them.
        let mut values: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        S::table(self).visit(|series| {
            if series.id().key.name() == name {
                for label in series.id().labels.iter().filter(|it| it.value() != OVERFLOW) {
                    let values = values.entry(label.key().to_owned()).or_default();
                    values.insert(label.value().to_owned());
                }
            }
        });
        let label = values.into_iter().max_by_key(|(_, values)| values.len());
        let (label, values) = label.map_or((String::new(), 0), |(it, values)| (it, values.len()));
        tracing::warn!(
            target: "redspan",
            metric = name,
            label,
            values,
            limit,
            "too many label sets of metric `{name}`: its label `{label}` alone has {values} values; \
             further label sets share one series labelled {OVERFLOW}"
        );
    }

    /// A label of a metric has more values than it may: this one was sent to [`OVERFLOW`].
    pub(crate) fn overflow(&self, kind: Kind, name: &str, label: &str, cap: usize) {
        self.count(|names| names.overflow(kind, name));
        if self.warn_once(&format!("{name}{{{label}}}")) {
            tracing::warn!(
                target: "redspan",
                metric = name,
                label,
                limit = cap,
                "too many values of label `{label}` of metric `{name}`: further ones are shown as \
                 {OVERFLOW}"
            );
        }
    }

    /// A value of a label is longer than any may be: it was sent to [`OVERFLOW`].
    pub(crate) fn overflow_long(&self, kind: Kind, name: &str, label: &str, length: usize) {
        self.count(|names| names.overflow(kind, name));
        self.warn_long(name, label, length);
    }

    #[cold]
    pub(super) fn refuse(&self, why: &str) {
        self.count(Names::refuse);
        if self.warn_once("bounds of names") {
            tracing::warn!(target: "redspan", "{why}: it is not recorded, nor are others; this is said once");
        }
    }

    pub(super) fn warn_long(&self, name: &str, label: &str, length: usize) {
        if self.warn_once(&format!("{name}{{{label}=…}}")) {
            tracing::warn!(
                target: "redspan",
                metric = name,
                label,
                limit = MAX_VALUE,
                "a value of label `{label}` of metric `{name}` has {length} bytes: such long ones are shown as \
                 {OVERFLOW}"
            );
        }
    }
}

//! What the program says about metrics that it does not make itself: buckets and limits, by name.

use crate::home;
use crate::metrics::histogram::Layout;
use std::sync::RwLock;
use std::time::Duration;

/// What is said about the metrics of some names.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) names: Names,
    pub(crate) layout: Option<Layout>,
    pub(crate) limit: Option<usize>,
}

/// Which metrics are meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Names {
    One(String),
    /// All that begin so.
    Prefix(String),
}

impl Names {
    /// `http.*` is a prefix, everything else a name.
    pub(crate) fn read(pattern: &str) -> Self {
        match pattern.strip_suffix('*') {
            Some(prefix) => Names::Prefix(prefix.to_owned()),
            None => Names::One(pattern.to_owned()),
        }
    }

    /// Whether a metric is meant, by the name it was given or the one it is shown by.
    pub(crate) fn contains(&self, names: [&str; 2]) -> bool {
        names.into_iter().any(|name| match self {
            Names::One(wanted) => wanted == name,
            Names::Prefix(prefix) => name.starts_with(prefix.as_str()),
        })
    }
}

/// What holds for all metrics of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    pub(crate) views: Vec<View>,
    /// Series of one metric of which nothing else is said.
    pub(crate) limit: Option<usize>,
    /// How long a series may stay as it is before it is forgotten.
    pub(crate) idle: Option<Duration>,
}

static SETTLED: RwLock<Views> = RwLock::new(Views { views: Vec::new(), limit: None, idle: None });

impl Views {
    /// From now on these hold: for metrics that are made from now on.
    pub(crate) fn settle(self) {
        if let Some(mut settled) = home::write(&SETTLED) {
            *settled = self;
        }
    }

    /// Looks at what holds.
    pub(crate) fn look<T>(look: impl FnOnce(&Views) -> T) -> T {
        match home::read(&SETTLED) {
            Some(settled) => look(&settled),
            None => look(&Views::default()),
        }
    }

    /// How a metric's buckets are laid out; the last view that says so counts.
    pub(crate) fn layout(&self, names: [&str; 2]) -> Option<Layout> {
        self.of(names).find_map(|view| view.layout.clone())
    }

    /// How many series a metric may have.
    pub(crate) fn limit(&self, names: [&str; 2]) -> Option<usize> {
        self.of(names).find_map(|view| view.limit)
    }

    fn of<'a>(&'a self, names: [&'a str; 2]) -> impl Iterator<Item = &'a View> {
        self.views.iter().rev().filter(move |view| view.names.contains(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_view_that_says_something_counts() {
        let view = |names: &str, layout: Option<Layout>, limit| View {
            names: Names::read(names),
            layout,
            limit,
        };
        let views = Views {
            views: vec![
                view("http.*", Some(Layout::Exponential), Some(5)),
                view("http_wait_seconds", Some(Layout::explicit([1.0])), None),
            ],
            ..Views::default()
        };
        let wait = ["http.wait", "http_wait_seconds"];
        assert_eq!(views.layout(wait), Some(Layout::explicit([1.0])));
        assert_eq!((views.limit(wait), views.limit(["db.wait", "db_wait"])), (Some(5), None));
    }
}

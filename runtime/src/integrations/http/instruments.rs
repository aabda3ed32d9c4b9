//! The conventions' metrics of HTTP, in whatever recorder is installed.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>

use crate::integrations::kept::{Kept, Near};
use crate::outcome::Outcome;
use metrics::{Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One side's metrics.
pub(crate) struct Names {
    duration: &'static str,
    active: &'static str,
    request_size: &'static str,
    response_size: &'static str,
    side: &'static str,
}

#[cfg(feature = "tower")]
pub(crate) static SERVER: Instruments = Instruments::new(Names {
    duration: "http.server.request.duration",
    active: "http.server.active_requests",
    request_size: "http.server.request.body.size",
    response_size: "http.server.response.body.size",
    side: "server",
});

pub(crate) static CLIENT: Instruments = Instruments::new(Names {
    duration: "http.client.request.duration",
    active: "http.client.active_requests",
    request_size: "http.client.request.body.size",
    response_size: "http.client.response.body.size",
    side: "client",
});

static METADATA: Metadata<'static> =
    Metadata::new("redspan::http", Level::INFO, Some(module_path!()));

/// The place of what has none.
static NOWHERE: Cow<'static, str> = Cow::Borrowed("");

/// What the labels of one request say, but for its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub(crate) method: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) version: Option<&'static str>,
    /// A client's `server.port`.
    pub(crate) port: Option<u16>,
    pub(crate) status: Option<u16>,
    /// How it failed, where the status does not say so.
    pub(crate) error: Option<&'static str>,
}

impl PartialEq for Labels {
    /// Words are told by where they lie: of each a program has one, or a few that it knows side by side.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let at = |word: Option<&'static str>| word.map(std::ptr::from_ref);
        self.status == other.status
            && self.port == other.port
            && std::ptr::eq(self.method, other.method)
            && std::ptr::eq(self.scheme, other.scheme)
            && at(self.version) == at(other.version)
            && at(self.error) == at(other.error)
    }
}

impl Labels {
    /// What tells apart those that a route has in turn.
    fn hint(&self) -> usize {
        self.method.len() ^ usize::from(self.status.unwrap_or_default())
    }

    /// How a request failed that has no status, or had one before it failed.
    pub(crate) fn fail(&mut self, outcome: Outcome) {
        self.error = match outcome {
            Outcome::Cancelled => Some("cancelled"),
            Outcome::Panic => Some("panic"),
            Outcome::Error | Outcome::Ok => self.error,
        };
    }
}

/// The handles of one combination of labels.
pub(crate) struct Handles {
    duration: Histogram,
    key: Vec<Label>,
    request_size: OnceLock<Histogram>,
    response_size: OnceLock<Histogram>,
}

impl Handles {
    fn sized(&self, cell: &OnceLock<Histogram>, name: &'static str, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            let histogram = cell.get_or_init(|| {
                let key = Key::from_parts(name, self.key.clone());
                metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
            });
            histogram.record(bytes as f64);
        }
    }
}

/// The metrics of servers or of clients.
pub(crate) struct Instruments {
    names: Names,
    ended: Kept<Labels, Arc<Handles>>,
    active: Kept<Labels, Gauge>,
}

impl Instruments {
    const fn new(names: Names) -> Self {
        Instruments { names, ended: Kept::new(), active: Kept::new() }
    }

    fn describe(&self, recorder: &dyn Recorder) {
        let Names { duration, active, request_size, response_size, side } = self.names;
        let histogram = |name: &'static str, unit: Unit, help: String| {
            recorder.describe_histogram(KeyName::from_const_str(name), Some(unit), help.into());
        };
        histogram(duration, Unit::Seconds, format!("Duration of HTTP {side} requests"));
        histogram(request_size, Unit::Bytes, format!("Size of HTTP {side} request bodies"));
        histogram(response_size, Unit::Bytes, format!("Size of HTTP {side} response bodies"));
        let help = format!("Number of active HTTP {side} requests");
        recorder.describe_gauge(KeyName::from_const_str(active), None, help.into());
    }

    /// The gauge of requests that have begun and not ended: a server's by method, a client's by
    /// where they go. Each thread gives out a handle of its own, so that threads do not meet where it says
    /// how many hold it.
    pub(crate) fn active(&self, host: Option<&Cow<'static, str>>, labels: Labels) -> Arc<Gauge> {
        thread_local! {
            static NEAR: Near<Labels, Arc<Gauge>> = const { Near::new() };
        }
        let place = host.unwrap_or(&NOWHERE);
        let make = |recorder: &dyn Recorder| {
            self.describe(recorder);
            let key = Key::from_parts(self.names.active, self.labels(place, labels));
            recorder.register_gauge(&key, &METADATA)
        };
        let own = |gauge: &Gauge| Arc::new(gauge.clone());
        self.active.with_near(&NEAR, place, (&labels, labels.hint()), make, own, Arc::clone)
    }

    /// Records a request that has ended. `place` is a server's route or a client's `server.address`.
    pub(crate) fn record(
        &self,
        place: Option<&Cow<'static, str>>,
        labels: Labels,
        took: Duration,
        request_bytes: Option<u64>,
        response_bytes: Option<u64>,
    ) {
        thread_local! {
            static NEAR: Near<Labels, Arc<Handles>> = const { Near::new() };
        }
        let place = place.unwrap_or(&NOWHERE);
        let make = |recorder: &dyn Recorder| {
            let key = self.labels(place, labels);
            let duration = Key::from_parts(self.names.duration, key.clone());
            Arc::new(Handles {
                duration: recorder.register_histogram(&duration, &METADATA),
                key,
                request_size: OnceLock::new(),
                response_size: OnceLock::new(),
            })
        };
        self.ended.with_near(&NEAR, place, (&labels, labels.hint()), make, Arc::clone, |handles| {
            handles.duration.record(took.as_secs_f64());
            handles.sized(&handles.request_size, self.names.request_size, request_bytes);
            handles.sized(&handles.response_size, self.names.response_size, response_bytes);
        });
    }

    fn labels(&self, place: &str, of: Labels) -> Vec<Label> {
        let mut labels = Vec::with_capacity(7);
        labels.push(Label::from_static_parts("http.request.method", of.method));
        labels.push(Label::from_static_parts("url.scheme", of.scheme));
        if let Some(version) = of.version {
            labels.push(Label::from_static_parts("network.protocol.version", version));
        }
        if !place.is_empty() {
            let name = if self.names.side == "server" { "http.route" } else { "server.address" };
            labels.push(Label::new(name, place.to_owned()));
        }
        if let Some(port) = of.port {
            labels.push(Label::new("server.port", port.to_string()));
        }
        if let Some(status) = of.status {
            labels.push(Label::new("http.response.status_code", status.to_string()));
        }
        let least = if self.names.side == "server" { 500 } else { 400 };
        if let Some(error) = of.error {
            labels.push(Label::from_static_parts("error.type", error));
        } else if let Some(status) = of.status.filter(|&status| status >= least) {
            labels.push(Label::new("error.type", status.to_string()));
        }
        labels
    }
}

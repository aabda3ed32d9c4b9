//! The conventions' metrics of HTTP, in whatever recorder is installed.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>

use crate::outcome::Outcome;
use metrics::{Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
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

/// How many combinations keep their handles at hand. What lies beyond is looked up each time, and
/// bounded by the recorder.
const KEPT: usize = 2_000;

/// What the labels of one request say, but for its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Labels {
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

#[derive(Default)]
struct Cache {
    /// Whose handles these are: a recorder may be installed at any time.
    recorder: usize,
    by_place: HashMap<String, Vec<(Labels, Arc<Handles>)>>,
    kept: usize,
    active: HashMap<String, Vec<(Labels, Gauge)>>,
}

/// The metrics of servers or of clients.
pub(crate) struct Instruments {
    names: Names,
    cache: RwLock<Option<Cache>>,
}

fn address(recorder: &dyn Recorder) -> usize {
    std::ptr::from_ref(recorder).cast::<()>().addr()
}

impl Instruments {
    const fn new(names: Names) -> Self {
        Instruments { names, cache: RwLock::new(None) }
    }

    /// What was found in the handles of the recorder that is installed now.
    fn cached<T>(&self, recorder: usize, find: impl Fn(&Cache) -> Option<T>) -> Option<T> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        cache.as_ref().filter(|cache| cache.recorder == recorder).and_then(find)
    }

    fn keep(&self, recorder: &dyn Recorder, keep: impl FnOnce(&mut Cache)) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        let now = address(recorder);
        match &mut *cache {
            Some(cache) if cache.recorder == now => keep(cache),
            _ => {
                self.describe(recorder);
                keep(cache.insert(Cache { recorder: now, ..Cache::default() }));
            }
        }
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
    /// where they go.
    pub(crate) fn active(&self, host: Option<&str>, labels: Labels) -> Gauge {
        let place = host.unwrap_or_default();
        metrics::with_recorder(|recorder| {
            let find = |cache: &Cache| {
                let of_place = cache.active.get(place)?;
                of_place.iter().find(|(l, _)| *l == labels).map(|(_, gauge)| gauge.clone())
            };
            if let Some(gauge) = self.cached(address(recorder), find) {
                return gauge;
            }
            let key = Key::from_parts(self.names.active, self.labels(place, labels));
            let gauge = recorder.register_gauge(&key, &METADATA);
            self.keep(recorder, |cache| {
                if cache.kept < KEPT {
                    cache.kept += 1;
                    let of_place = cache.active.entry(place.to_owned()).or_default();
                    of_place.push((labels, gauge.clone()));
                }
            });
            gauge
        })
    }

    /// Records a request that has ended. `place` is a server's route or a client's `server.address`.
    pub(crate) fn record(
        &self,
        place: Option<&str>,
        labels: Labels,
        took: Duration,
        request_bytes: Option<u64>,
        response_bytes: Option<u64>,
    ) {
        let handles = self.handles(place.unwrap_or_default(), labels);
        handles.duration.record(took.as_secs_f64());
        handles.sized(&handles.request_size, self.names.request_size, request_bytes);
        handles.sized(&handles.response_size, self.names.response_size, response_bytes);
    }

    fn handles(&self, place: &str, labels: Labels) -> Arc<Handles> {
        metrics::with_recorder(|recorder| {
            let find = |cache: &Cache| {
                let of_place = cache.by_place.get(place)?;
                of_place.iter().find(|(l, _)| *l == labels).map(|(_, handles)| handles.clone())
            };
            if let Some(handles) = self.cached(address(recorder), find) {
                return handles;
            }
            let key = self.labels(place, labels);
            let duration = Key::from_parts(self.names.duration, key.clone());
            let handles = Arc::new(Handles {
                duration: recorder.register_histogram(&duration, &METADATA),
                key,
                request_size: OnceLock::new(),
                response_size: OnceLock::new(),
            });
            self.keep(recorder, |cache| {
                if cache.kept < KEPT {
                    cache.kept += 1;
                    let of_place = cache.by_place.entry(place.to_owned()).or_default();
                    of_place.push((labels, handles.clone()));
                }
            });
            handles
        })
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

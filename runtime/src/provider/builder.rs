//! From settings to a running redspan.

use super::error::InitError;
use super::guard::Telemetry;
use super::logs::Logs;
use crate::bridge::events::EventLayer;
use crate::bridge::filter::{BridgeFilter, EventFilter};
use crate::bridge::subscriber::Front;
use crate::call::elsewhere;
use crate::clock;
use crate::config::env::{Env, Warning};
use crate::config::resource::{Identity, resource};
#[cfg(feature = "prometheus")]
use crate::config::settings::MetricsExporter;
use crate::config::settings::{Settings, TracesExporter};
use crate::context::pending;
use crate::context::propagation::{self, Propagator, baggage};
#[cfg(feature = "prometheus")]
use crate::expose::http::AdminListener;
use crate::log::LogLayer;
use crate::metrics::candidate;
use crate::metrics::recorder::recorder;
use crate::metrics::snapshot::Identity as Service;
use crate::sample::{self, Sampler};
use crate::span::console::ConsoleSink;
use crate::span::engine::{self, Engine};
use crate::span::export::SpanSink;
use crate::span::pipeline::Pipeline;
use crate::span::tail::TailPolicy;
use crate::span::tracer::TracerProvider;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue, global};
#[cfg(feature = "prometheus")]
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::Location;
use std::sync::{Mutex, PoisonError};
#[cfg(feature = "prometheus")]
use std::time::Duration;
use tracing_core::{Dispatch, LevelFilter, Subscriber};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// How long a scrape waits for the exporter.
#[cfg(feature = "prometheus")]
const BEFORE_SCRAPE: Duration = Duration::from_millis(200);

/// A layer of the application, on the registry that redspan sets up.
type UserLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts a configuration: what is said here beats the environment, which beats the defaults.
///
/// ```no_run
/// fn main() -> Result<(), redspan::InitError> {
///     let _telemetry = redspan::builder()
///         .service_name("checkout")
///         .sampler(redspan::sample::parent_based(redspan::sample::trace_id_ratio(0.1)))
///         .install()?;
///     Ok(())
/// }
/// ```
pub fn builder() -> Builder {
    Builder::default()
}

/// See [`builder`].
#[derive(Default)]
#[must_use = "nothing happens before `install`"]
pub struct Builder {
    package: Option<(&'static str, &'static str)>,
    service_name: Option<String>,
    service_version: Option<String>,
    commit: String,
    branch: String,
    attributes: Vec<KeyValue>,
    sampler: Option<Box<dyn Sampler>>,
    sink: Option<Box<dyn SpanSink>>,
    propagators: Option<Vec<Propagator>>,
    baggage: Vec<Key>,
    #[cfg(feature = "prometheus")]
    metrics_address: Option<SocketAddr>,
    pub(super) logs: Logs,
    layers: Vec<UserLayer>,
    tail: Option<TailPolicy>,
    env: Option<Env>,
}

impl Builder {
    /// The calling package, whose name and version are the service's unless something else is said.
    /// [`init!`](crate::init) fills it in.
    pub fn package(mut self, name: &'static str, version: &'static str) -> Self {
        self.package = Some((name, version));
        self
    }

    /// The resource's `service.name`. Environment: `OTEL_SERVICE_NAME`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// The resource's `service.version`.
    pub fn service_version(mut self, version: impl Into<String>) -> Self {
        self.service_version = Some(version.into());
        self
    }

    /// The labels `commit` and `branch` of the metric `build_info`, as a build script knows them.
    pub fn revision(mut self, commit: impl Into<String>, branch: impl Into<String>) -> Self {
        (self.commit, self.branch) = (commit.into(), branch.into());
        self
    }

    /// One more attribute of the resource. Environment: `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(
        mut self,
        key: impl Into<Key>,
        value: impl Into<opentelemetry::Value>,
    ) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// What decides which spans are recorded. Environment: `OTEL_TRACES_SAMPLER`; by default all
    /// are, unless the caller's trace or the function's own hint (`#[instrumented(sample = …)]`) says
    /// otherwise.
    pub fn sampler(mut self, sampler: impl Sampler) -> Self {
        self.sampler = Some(Box::new(sampler));
        self
    }

    /// What travels to other processes. Environment: `OTEL_PROPAGATORS`; by default W3C Trace Context
    /// and W3C Baggage. See [`propagation`].
    ///
    /// ```no_run
    /// use redspan::propagation::Propagator;
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder()
    ///     .propagators([Propagator::B3, Propagator::Baggage])
    ///     .install()?;
    /// # Ok(()) }
    /// ```
    pub fn propagators(mut self, propagators: impl IntoIterator<Item = Propagator>) -> Self {
        self.propagators = Some(propagators.into_iter().collect());
        self
    }

    /// Copies these members of the baggage into the attributes of every span, under their own names,
    /// and into every log line. By default nothing is copied: baggage is what strangers sent.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder().baggage(["tenant"]).install()?;
    /// # Ok(()) }
    /// ```
    pub fn baggage<K: Into<Key>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.baggage.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Keeps or drops local traces when their roots have ended. Then every span is recorded, unless
    /// [`sampler`](Self::sampler) says otherwise; `OTEL_TRACES_SAMPLER` is not asked.
    pub fn tail(mut self, policy: TailPolicy) -> Self {
        self.tail = Some(policy);
        self
    }

    /// Where spans go. Environment: `OTEL_TRACES_EXPORTER`; by default nowhere.
    pub fn spans_to(mut self, sink: impl SpanSink) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Prints spans to stdout, as trees.
    pub fn spans_to_stdout(self) -> Self {
        self.spans_to(ConsoleSink::stdout())
    }

    /// Serves `/metrics` there. Environment: `OTEL_METRICS_EXPORTER=prometheus` with
    /// `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`; `127.0.0.1:9464` by default. Port 0 takes a free
    /// one ([`Telemetry::metrics_address`]).
    #[cfg(feature = "prometheus")]
    pub fn metrics_at(mut self, address: SocketAddr) -> Self {
        self.metrics_address = Some(address);
        self
    }

    /// A `tracing_subscriber` layer of the application, beside redspan's own.
    ///
    /// A layer without a filter of its own asks for a tracing span in every call, which costs: give
    /// it one (`Layer::with_filter`) if it does not need them.
    pub fn layer(mut self, layer: impl Layer<Registry> + Send + Sync + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Other variables than the process's.
    #[cfg(feature = "testing")]
    pub(super) fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Installs everything, once a process.
    ///
    /// The guard flushes and closes everything when it is dropped: keep it until the end of `main`.
    ///
    /// # Errors
    /// When redspan or another global subscriber is installed already, when a setting cannot be
    /// used, or when a thread or the listener cannot be started. Nothing is installed then.
    #[track_caller]
    pub fn install(mut self) -> Result<Telemetry, InitError> {
        static INSTALLED: Mutex<Option<&'static Location<'static>>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = *installed {
            return Err(InitError::AlreadyInstalled(first));
        }
        let (settings, warnings) = Settings::read(self.env.take().unwrap_or_else(Env::process));
        let telemetry = self.put_together(settings, warnings)?;
        *installed = Some(Location::caller());
        Ok(telemetry)
    }

    fn put_together(
        mut self,
        settings: Settings,
        mut warnings: Vec<Warning>,
    ) -> Result<Telemetry, InitError> {
        // The clock is calibrated here, not in the first call.
        clock::settle();
        let identity = self.identity(&settings);
        let resource = resource(&settings, identity);
        let said_of_itself = |key| {
            let value = resource.get(&Key::from_static_str(key));
            value.map(|value| value.to_string()).unwrap_or_default()
        };
        let service = Service {
            service_name: said_of_itself("service.name"),
            version: said_of_itself("service.version"),
            commit: std::mem::take(&mut self.commit),
            branch: std::mem::take(&mut self.branch),
        };

        let mut says = Vec::new();
        let sink = self.sink(&settings, &mut says)?;
        let sampler = self.decided_by(&settings, sink.is_some(), &mut says);
        let pipeline = match sink {
            Some(mut sink) => {
                sink.set_resource(&resource);
                Pipeline::start(sink, settings.batch, self.tail.clone())
                    .map_err(InitError::Thread)?
            }
            None => Pipeline::disconnected(settings.batch),
        };

        let (log_filter, bad_directive) = EventFilter::new(settings.rust_log.as_deref());
        let (events_filter, _) = EventFilter::new(settings.rust_log.as_deref());
        // Quieter logs do not switch spans off; more detailed ones bring more detailed spans.
        let level = log_filter.max_level().max(LevelFilter::INFO);
        let log_layer = self.logs.layer();
        let log_layer = log_layer.with_service_name(&service.service_name);
        let lines = log_layer.handle();
        let layers = Layers { level, events_filter, log_filter, log_layer };
        // An empty list of layers would switch everything off, and `None` as a layer everything on.
        let subscriber = if self.layers.is_empty() {
            layers.onto(Registry::default())
        } else {
            layers.onto(Registry::default().with(std::mem::take(&mut self.layers)))
        };

        let engine = Engine::new(sampler, level, settings.limits, pipeline);
        baggage::allow(std::mem::take(&mut self.baggage));
        #[cfg(feature = "prometheus")]
        let admin = self.listener(&settings, &service, &mut says)?;
        if tracing_core::dispatcher::set_global_default(subscriber).is_err() {
            return Err(InitError::SubscriberSet);
        }
        // Only `install` sets it, and only once.
        let engine = engine::install(engine);
        self.logs.settle();
        candidate::enable();
        service.settle();
        global::set_tracer_provider(TracerProvider::new());
        let propagators = self.propagators.unwrap_or(settings.propagators);
        global::set_text_map_propagator(propagation::composite(&propagators));
        let _ = tracing_log::LogTracer::init();
        match ::metrics::set_global_recorder(recorder()) {
            Ok(()) => elsewhere::ours(),
            Err(_) => says.push(
                "another metrics recorder is installed: it keeps the `metrics` macros, and is told of \
                 functions' calls as well"
                    .into(),
            ),
        }
        let said = says.join(", ");
        for warning in warnings.drain(..) {
            tracing::warn!(target: "redspan", "{warning}");
        }
        if let Some(warning) = bad_directive {
            tracing::warn!(target: "redspan", "{warning}");
        }
        tracing::info!(target: "redspan", "redspan {}: {said}", env!("CARGO_PKG_VERSION"));
        let telemetry = Telemetry::new(engine, lines, said);
        #[cfg(feature = "prometheus")]
        let telemetry = telemetry.serving(admin);
        Ok(telemetry)
    }
}

impl Builder {
    /// The package is a default: both the environment and the builder beat it.
    fn identity(&mut self, settings: &Settings) -> Identity {
        let (name, version) = self.package.unzip();
        let said = |key: &str| settings.resource_attributes.iter().any(|(k, _)| k == key);
        let default_name = name.filter(|_| settings.service_name.is_none());
        let default_version = version.filter(|_| !said("service.version"));
        Identity {
            service_name: self.service_name.take().or(default_name.map(str::to_owned)),
            service_version: self.service_version.take().or(default_version.map(str::to_owned)),
            attributes: std::mem::take(&mut self.attributes),
        }
    }

    fn sink(
        &mut self,
        settings: &Settings,
        says: &mut Vec<String>,
    ) -> Result<Option<Box<dyn SpanSink>>, InitError> {
        let sink = if settings.sdk_disabled {
            None
        } else if let Some(sink) = self.sink.take() {
            Some(sink)
        } else {
            match settings.traces_exporter {
                TracesExporter::Otlp => otlp(settings)?,
                TracesExporter::Console => {
                    Some(Box::new(ConsoleSink::stdout()) as Box<dyn SpanSink>)
                }
                TracesExporter::None => None,
            }
        };
        says.push(match (&sink, settings.sdk_disabled) {
            (Some(sink), _) => format!("spans to {}", sink.describe()),
            (None, true) => String::from("OTEL_SDK_DISABLED is set, nothing is exported"),
            (None, false) => String::from(
                "spans are not exported (OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 sends \
                 them to a Collector, OTEL_TRACES_EXPORTER=console prints them)",
            ),
        });
        Ok(sink)
    }

    fn decided_by(
        &mut self,
        settings: &Settings,
        exported: bool,
        says: &mut Vec<String>,
    ) -> Box<dyn Sampler> {
        if !exported {
            // Recording for nobody would cost, and an exemplar would name a trace that is nowhere.
            return Box::new(sample::AlwaysOff);
        }
        if let Some(policy) = &self.tail {
            pending::activate(policy.downstream);
            says.push("kept by the tail policy".into());
        }
        let sampler = self.sampler.take().unwrap_or_else(|| {
            if self.tail.is_some() {
                // All there is, whatever the caller says; below a local span nobody is asked.
                let all = sample::parent_based(sample::AlwaysOn);
                return Box::new(all.remote_not_sampled(sample::AlwaysOn));
            }
            let root: Box<dyn Sampler> = match settings.sampler.ratio {
                ratio if ratio >= 1.0 => Box::new(sample::AlwaysOn),
                ratio if ratio <= 0.0 => Box::new(sample::AlwaysOff),
                ratio => Box::new(sample::trace_id_ratio(ratio)),
            };
            let root = match settings.sampler.hints {
                true => Box::new(sample::hinted(root)),
                false => root,
            };
            match settings.sampler.parent_based {
                true => Box::new(sample::parent_based(root)),
                false => root,
            }
        });
        says.push(format!("sampled by {}", sampler.describe()));
        sampler
    }
}

#[cfg(feature = "prometheus")]
impl Builder {
    fn listener(
        &self,
        settings: &Settings,
        service: &Service,
        says: &mut Vec<String>,
    ) -> Result<Option<AdminListener>, InitError> {
        let asked = settings.metrics_exporter == MetricsExporter::Prometheus;
        let address = match self.metrics_address {
            _ if settings.sdk_disabled => return Ok(None),
            Some(address) => address,
            None if asked => {
                let host = settings.prometheus_host.as_str();
                let resolved = (host, settings.prometheus_port).to_socket_addrs();
                let first = resolved.ok().and_then(|mut addresses| addresses.next());
                first.ok_or_else(|| {
                    InitError::Listener(format!(
                        "OTEL_EXPORTER_PROMETHEUS_HOST={host} names no address of this machine: \
                         set a host name or an IP address, such as 127.0.0.1"
                    ))
                })?
            }
            None => {
                says.push(
                    "/metrics is not served (OTEL_METRICS_EXPORTER=prometheus serves it)".into(),
                );
                return Ok(None);
            }
        };
        let listener = AdminListener::start(address, service.clone(), || {
            // A scrape shows exemplars of what has been handed over: let that be all there is. An
            // exporter that hangs must not hold it up.
            if let Some(engine) = engine::get() {
                engine.pipeline.flush(BEFORE_SCRAPE);
                engine.pipeline.publish_stats();
            }
        })
        .map_err(|error| InitError::Listener(error.to_string()))?;
        says.push(format!("metrics at http://{}/metrics", listener.local_addr()));
        Ok(Some(listener))
    }
}

#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Result<Option<Box<dyn SpanSink>>, InitError> {
    Ok(Some(Box::new(crate::span::otlp::OtlpSink::new(settings.otlp.clone())?)))
}

#[cfg(not(feature = "otlp"))]
fn otlp(_: &Settings) -> Result<Option<Box<dyn SpanSink>>, InitError> {
    Err(InitError::Config(crate::config::ConfigError::new(
        "the environment asks for OTLP, and this program was built without it: turn on redspan's \
         feature `otlp`, or set OTEL_TRACES_EXPORTER=none",
    )))
}

/// redspan's own layers, each with a filter of its own: one filter for all would turn tracing spans
/// on in every call.
struct Layers {
    /// Up to which spans are made.
    level: LevelFilter,
    events_filter: EventFilter,
    log_filter: EventFilter,
    log_layer: LogLayer,
}

impl Layers {
    fn onto<S>(self, base: S) -> Dispatch
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let bridge = tracing_opentelemetry::layer()
            .with_tracer(TracerProvider::new().tracer("tracing-opentelemetry"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Dispatch::new(Front::new(
            base.with(bridge.with_filter(BridgeFilter { level: self.level }))
                .with(EventLayer::new().with_filter(self.events_filter))
                .with(self.log_layer.with_filter(self.log_filter)),
        ))
    }
}

//! From settings to a running redspan.

use super::error::InitError;
use super::guard::Telemetry;
use super::logs::Logs;
use super::spans::Spans;
use crate::bridge::events::EventLayer;
use crate::bridge::filter::{BridgeFilter, EventFilter};
use crate::bridge::subscriber::Front;
use crate::catalog::catalog;
use crate::clock;
use crate::config::env::{Env, Warning};
use crate::config::preset::Preset;
use crate::config::resource::{self, Identity};
#[cfg(feature = "prometheus")]
use crate::config::settings::MetricsExporter;
use crate::config::settings::Settings;
use crate::context::propagation::{self, Propagator, baggage};
#[cfg(feature = "prometheus")]
use crate::expose::http::AdminListener;
use crate::log::LogLayer;
use crate::metrics::candidate;
use crate::metrics::recorder::recorder;
use crate::metrics::snapshot::Identity as Service;
use crate::span::engine::{self, Engine};
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
    pub(super) spans: Spans,
    propagators: Option<Vec<Propagator>>,
    baggage: Vec<Key>,
    #[cfg(feature = "prometheus")]
    metrics_address: Option<SocketAddr>,
    pub(super) logs: Logs,
    layers: Vec<UserLayer>,
    preset: Option<Preset>,
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

    /// Defaults for a purpose: what the program or the environment says beats them.
    ///
    /// ```no_run
    /// use redspan::Preset;
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder().preset(Preset::Production).install()?;
    /// # Ok(()) }
    /// ```
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
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
        let (settings, warnings) = Settings::read(self.variables(), self.preset);
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
        let resource = resource::resource(&settings, identity);
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

        let preset = self.preset.map_or(String::new(), |preset| format!(" ({})", preset.name()));
        let mut says = vec![format!("{}{preset}", named(&service))];
        let (pipeline, sampler) = self.spans.way_out(&settings, &resource, &mut says)?;
        let limits = self.spans.limits(&settings);

        let (asked, bad_directive) = EventFilter::new(settings.rust_log.as_deref());
        // Quieter logs do not switch spans off; more detailed ones bring more detailed spans.
        let level = asked.max_level().max(LevelFilter::INFO);
        let with_own = with_own_level(settings.rust_log.as_deref(), settings.own_level);
        let (log_filter, _) = EventFilter::new(with_own.as_deref());
        let (events_filter, _) = EventFilter::new(with_own.as_deref());
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

        let engine = Engine::new(sampler, level, limits, pipeline);
        baggage::allow(std::mem::take(&mut self.baggage));
        #[cfg(feature = "prometheus")]
        let admin = self.listener(&settings, &service, &mut says)?;
        if tracing_core::dispatcher::set_global_default(subscriber).is_err() {
            return Err(InitError::SubscriberSet);
        }
        // Only `install` sets it, and only once.
        let engine = engine::install(engine);
        self.logs.settle();
        if settings.exemplars {
            candidate::enable();
        }
        resource::install(&resource);
        service.settle();
        global::set_tracer_provider(TracerProvider::new());
        let propagators = self.propagators.unwrap_or(settings.propagators);
        global::set_text_map_propagator(propagation::composite(&propagators));
        let _ = tracing_log::LogTracer::init();
        if ::metrics::set_global_recorder(recorder()).is_err() {
            says.push(
                "another metrics recorder is installed and keeps the `metrics` macros".into(),
            );
        }
        says.push(format!("spans up to {}", level.to_string().to_lowercase()));
        says.extend(tracing_spans());
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
    fn variables(&mut self) -> Env {
        match (self.env.take(), self.preset) {
            (Some(env), _) => env,
            (None, Some(Preset::Testing)) => Env::none(),
            (None, _) => Env::process(),
        }
    }

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
}

#[cfg(feature = "prometheus")]
impl Builder {
    fn listener(
        &self,
        settings: &Settings,
        service: &Service,
        says: &mut Vec<String>,
    ) -> Result<Option<AdminListener>, InitError> {
        let asked = settings.metrics_exporters.contains(&MetricsExporter::Prometheus);
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

fn named(service: &Service) -> String {
    format!("{} {}", service.service_name, service.version).trim_end().to_owned()
}

/// Whether somebody has the functions make `tracing` spans as well, which costs.
fn tracing_spans() -> Option<String> {
    let (mut asked, mut all) = (0, 0);
    tracing_core::dispatcher::get_default(|dispatch| {
        for site in catalog() {
            all += 1;
            asked += usize::from(!dispatch.register_callsite(site.metadata()).is_never());
        }
    });
    (asked > 0).then(|| {
        format!(
            "{asked} of {all} functions make tracing spans too, for a layer without a filter or a \
             directive in brackets"
        )
    })
}

/// `RUST_LOG` with `OTEL_LOG_LEVEL` for redspan's own messages, where it says nothing about them.
fn with_own_level(rust_log: Option<&str>, own: Option<LevelFilter>) -> Option<String> {
    let Some(own) = own.filter(|_| rust_log.is_none_or(|it| !it.contains("redspan"))) else {
        return rust_log.map(str::to_owned);
    };
    let rust_log = rust_log.unwrap_or("info");
    Some(format!("{rust_log},redspan={own},opentelemetry={own}"))
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

//! From settings to a running redspan.

#[cfg(feature = "prometheus")]
use super::admin::Admin;
use super::endings::Endings;
use super::error::InitError;
use super::guard::{Core, Telemetry};
use super::logs::Logs;
use super::metrics::{Metrics, show_own};
use super::spans::Spans;
use super::unbuilt;
use crate::bridge::events::EventLayer;
use crate::bridge::filter::{BridgeFilter, EventFilter, ON_SETTINGS, Reload};
use crate::bridge::meter::MeterProvider;
use crate::bridge::spans_only::SpansOnly;
use crate::bridge::subscriber::Front;
use crate::bridge::twice::{self, Theirs};
use crate::call::elsewhere;
use crate::catalog::catalog;
use crate::clock;
use crate::config::env::{Env, Warning};
use crate::config::preset::Preset;
use crate::config::resource::{self, Identity};
use crate::config::settings::Settings;
use crate::context::propagation::{self, Propagator, baggage};
use crate::home;
use crate::log::{self, LogLayer, key_values};
use crate::metrics::candidate;
use crate::metrics::recorder::recorder;
use crate::metrics::snapshot::Identity as Service;
use crate::metrics::store::Store;
use crate::span::engine::{self, Engine};
use crate::span::tracer::TracerProvider;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue, global};
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_core::{Dispatch, LevelFilter, Subscriber, dispatcher};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

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
    pub(super) metrics: Metrics,
    #[cfg(feature = "prometheus")]
    pub(super) admin: Admin,
    pub(super) endings: Endings,
    pub(super) logs: Logs,
    layers: Vec<UserLayer>,
    preset: Option<Preset>,
    disabled: Option<bool>,
    exemplars: Option<bool>,
    http_methods: Option<Vec<String>>,
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
    /// and into every log line. By default nothing is copied: baggage is what strangers sent, and what the program
    /// says of a span under the same name stands.
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

    /// A `tracing_subscriber` layer of the application, beside redspan's own.
    ///
    /// A layer without a filter of its own asks for a tracing span in every call, which costs: give
    /// it one (`Layer::with_filter`) if it does not need them.
    pub fn layer(mut self, layer: impl Layer<Registry> + Send + Sync + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Whether nothing leaves the process: calls work and count as ever, and nobody hears of it.
    /// Environment: `OTEL_SDK_DISABLED`.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = Some(disabled);
        self
    }

    /// Whether numbers carry exemplars, examples of the spans they come from. Environment:
    /// `OTEL_METRICS_EXEMPLAR_FILTER`; by default they do.
    pub fn exemplars(mut self, exemplars: bool) -> Self {
        self.exemplars = Some(exemplars);
        self
    }

    /// The methods of HTTP that spans and labels show, in place of the usual ones (those of RFC 9110, `PATCH` and
    /// `QUERY`): all others are `_OTHER` there, since anybody may send others. Case-sensitive. Environment:
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    ///
    /// ```
    /// let builder = redspan::builder().http_methods(["GET", "PUT", "PROPFIND", "MKCOL"]);
    /// # let _ = builder;
    /// ```
    pub fn http_methods<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.http_methods = Some(methods.into_iter().map(Into::into).collect());
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
        // Not where it is installed: of a fork's child that was its parent, whose threads hold what they held.
        home::is_moved_here(|| Store::global().is_free());
        let (mut settings, warnings) = Settings::read(self.variables(), self.preset);
        settings.sdk_disabled = self.disabled.unwrap_or(settings.sdk_disabled);
        settings.exemplars = self.exemplars.unwrap_or(settings.exemplars);
        settings.http_methods = self.http_methods.take().or(settings.http_methods);
        self.logs.over(&mut settings);
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
        let log_layer = self.logs.layer(&settings, self.preset, &mut says)?;
        let log_layer = log_layer.with_service_name(&service.service_name);
        #[cfg(feature = "otlp")]
        log_layer.set_resource(&resource);
        let lines = log_layer.handle();
        let reload = Reload::of([&events_filter, &log_filter]);
        let exports = pipeline.is_connected();
        let layers = Layers { level, exports, events_filter, log_filter, log_layer };
        // An empty list of layers would switch everything off, and `None` as a layer everything on.
        let own_layers = !self.layers.is_empty();
        let (subscriber, theirs) = if self.layers.is_empty() {
            layers.onto(Registry::default())
        } else {
            layers.onto(Registry::default().with(std::mem::take(&mut self.layers)))
        };

        let aside = theirs != Theirs::None && !exports;
        if aside {
            says.push("spans are left to the application's own tracing-opentelemetry layer".into());
        }
        let engine = Engine::new(sampler, level, limits, pipeline).standing_aside(aside);
        baggage::allow(std::mem::take(&mut self.baggage));
        let metrics = self.metrics.ways_out(&settings, &resource, &service, &mut says)?;
        #[cfg(feature = "prometheus")]
        let admin = {
            let sent = !metrics.is_empty();
            self.admin.listener(
                &settings,
                &service,
                lines.clone(),
                sent,
                &mut says,
                &mut warnings,
            )?
        };
        if dispatcher::set_global_default(subscriber).is_err() {
            return Err(InitError::SubscriberSet);
        }
        // Only `install` sets it, and only once.
        let engine = engine::install(engine);
        if own_layers {
            // A filter among them may have waited for that.
            tracing_core::callsite::rebuild_interest_cache();
        }
        self.logs.settle();
        self.metrics.settle();
        show_own(lines.clone());
        #[cfg(feature = "_http")]
        if let Some(methods) = settings.http_methods.clone() {
            crate::integrations::show_methods(methods);
        }
        if settings.exemplars {
            candidate::enable();
        }
        resource::install(&resource);
        service.settle();
        if !aside {
            // OpenTelemetry says of each that it is set, in a line of its own: ours says what is in effect.
            dispatcher::with_default(&Dispatch::none(), || {
                global::set_tracer_provider(TracerProvider::new());
                global::set_meter_provider(MeterProvider);
            });
        }
        let unbuilt = unbuilt::warnings(&settings, self.preset);
        let propagators = self.propagators.unwrap_or(settings.propagators);
        global::set_text_map_propagator(propagation::composite(&propagators));
        if key_values::take_records().is_err() {
            says.push(
                "another logger of the crate `log` is installed: it keeps what is logged through that".into(),
            );
        }
        match ::metrics::set_global_recorder(recorder()) {
            Ok(()) => elsewhere::ours(),
            Err(_) => says.push(
                "another metrics recorder is installed: it keeps the `metrics` macros, and is told of \
                 functions' calls as well"
                    .into(),
            ),
        }
        says.push(format!("spans up to {}", level.to_string().to_lowercase()));
        says.extend(tracing_spans());
        says.extend(unbuilt::says());
        let said = says.join(", ");
        let others = bad_directive.into_iter().chain(unbuilt);
        for warning in warnings.drain(..).map(|it| it.to_string()).chain(others) {
            tracing::warn!(name: ON_SETTINGS, target: "redspan", "{warning}");
        }
        if theirs == Theirs::Unfiltered && exports {
            tracing::warn!(name: ON_SETTINGS, target: "redspan", "{}", twice::WARNING);
        }
        tracing::info!(target: "redspan", "redspan {}: {said}", env!("CARGO_PKG_VERSION"));
        #[cfg_attr(not(feature = "prometheus"), expect(unused_mut, reason = "nothing is served"))]
        let mut core = Core::new(engine, metrics, lines);
        #[cfg(feature = "prometheus")]
        core.serving(admin);
        let core = Arc::new(core);
        if let Some(error) = self.endings.install(&core, self.preset) {
            tracing::warn!(target: "redspan", %error, "signals will end the process without a flush");
        }
        let telemetry = Telemetry::new(core, said).filtered_by(reload);
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

fn named(service: &Service) -> String {
    let named = format!("{} {}", service.service_name, service.version);
    // `init!` names the package; whoever builds by hand may not know that nobody has.
    let way = if service.service_name.starts_with("unknown_service") {
        " (OTEL_SERVICE_NAME names it)"
    } else {
        ""
    };
    format!("{}{way}", named.trim_end())
}

/// Whether somebody has the functions make `tracing` spans as well, which costs.
fn tracing_spans() -> Option<String> {
    let (mut asked, mut all) = (0, 0);
    dispatcher::get_default(|dispatch| {
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

/// `RUST_LOG` with `OTEL_LOG_LEVEL` for redspan's own messages, where it says nothing about them. One that only
/// names targets leaves the warnings: whoever looks into one part of a program does not mean to hide that what it
/// records is lost.
fn with_own_level(rust_log: Option<&str>, own: Option<LevelFilter>) -> Option<String> {
    let (asked, _) = log::directives(rust_log);
    let is_level = |part: &&str| part.parse::<LevelFilter>().is_ok();
    let of_targets = !asked.is_empty() && !asked.iter().any(is_level);
    let own = own.or(of_targets.then_some(LevelFilter::WARN));
    let Some(own) = own.filter(|_| !asked.iter().any(|part| part.contains("redspan"))) else {
        return rust_log.map(str::to_owned);
    };
    let others = if asked.is_empty() { "info".to_owned() } else { asked.join(",") };
    Some(format!("{others},redspan={own},opentelemetry={own}"))
}

/// redspan's own layers, each with a filter of its own: one filter for all would turn tracing spans
/// on in every call.
struct Layers {
    /// Up to which spans are made.
    level: LevelFilter,
    /// Whether they leave the process.
    exports: bool,
    events_filter: EventFilter,
    log_filter: EventFilter,
    log_layer: LogLayer,
}

impl Layers {
    fn onto<S>(self, base: S) -> (Dispatch, Theirs)
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let theirs = Theirs::among(&base);
        // Two bridges would keep their data of a span in one place, and the second to come panics.
        let dispatch = match theirs {
            Theirs::Unfiltered if self.exports => self.with_events(base),
            // Their layer writes the events, too.
            Theirs::Filtered | Theirs::Unfiltered if !self.exports => {
                lines(base, self.log_layer, self.log_filter)
            }
            _ => {
                let bridge = tracing_opentelemetry::layer()
                    .with_tracer(TracerProvider::new().tracer("tracing-opentelemetry"))
                    .with_location(false)
                    .with_threads(false)
                    .with_target(false)
                    .with_tracked_inactivity(false);
                let events = self.events_filter.clone();
                let filter = BridgeFilter { level: self.level, events };
                self.with_events(base.with(SpansOnly(bridge).with_filter(filter)))
            }
        };
        (dispatch, theirs)
    }

    fn with_events<S>(self, base: S) -> Dispatch
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let Layers { events_filter, log_filter, log_layer, .. } = self;
        let base = base.with(EventLayer::new().with_filter(events_filter));
        lines(base, log_layer, log_filter)
    }
}

fn lines<S>(base: S, layer: LogLayer, filter: EventFilter) -> Dispatch
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    Dispatch::new(Front::new(base.with(layer.with_filter(filter))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_warnings_are_heard_unless_a_level_for_all_or_for_them_says_no() {
        let with = |rust_log, own| with_own_level(Some(rust_log), own).unwrap_or_default();
        let heard = "shop=debug,redspan=warn,opentelemetry=warn";
        assert_eq!(with("shop=debug", None), heard);
        for alone in ["error", "off", "shop=debug, warn", "shop=debug,redspan=off"] {
            assert_eq!(with(alone, None), alone);
        }
        let quiet = "shop=debug,redspan=off,opentelemetry=off";
        assert_eq!(with("shop=debug", Some(LevelFilter::OFF)), quiet);
        let rest = "info,redspan=error,opentelemetry=error";
        for nothing in ["", "=shop"] {
            assert_eq!(with(nothing, Some(LevelFilter::ERROR)), rest);
        }
        assert_eq!(with_own_level(None, None), None, "it is `info`");
    }
}

//! Who hears what. Each layer of ours has a filter of its own: one filter for all of them would turn
//! tracing spans on in every call.

use crate::callsite::CallSite;
use crate::log;
use crate::span::tracer;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Interest, LevelFilter, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

/// What the bridge to OpenTelemetry hears: spans of others, up to the level up to which sites make
/// theirs (one request over HTTP/2 opens hundreds of detailed ones in `h2`); a site's only as a
/// view, since its own span is made without it. Events have a layer of their own.
#[derive(Debug)]
pub(crate) struct BridgeFilter {
    pub(crate) level: LevelFilter,
    /// What those hear that events are for.
    pub(crate) events: EventFilter,
}

impl BridgeFilter {
    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && !CallSite::describes(metadata)
    }
}

impl<S> Filter<S> for BridgeFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() && (self.hears(metadata) || tracer::is_making_view(metadata.name()))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !metadata.is_span() {
            // As they do, and `SpansOnly` leaves them to them: where all filters agree, tracing asks none of them
            // at each event.
            return Filter::<S>::callsite_enabled(&self.events, metadata);
        }
        if self.hears(metadata) {
            Interest::always()
        } else {
            // A view is never asked for through the cached interest.
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// The name of redspan's own words on what it was told: they are heard whatever `RUST_LOG` says, which
/// may be what they are about.
pub(crate) const ON_SETTINGS: &str = "redspan.settings";

/// What lines and span events are made of: the events that `RUST_LOG` names. Of spans only those
/// that it names in brackets (`[charge]=debug`), because only they change which events pass.
#[derive(Clone, Debug)]
pub(crate) struct EventFilter(Arc<ArcSwap<Directives>>);

#[derive(Debug)]
struct Directives {
    all: EnvFilter,
    /// The directives with brackets alone.
    named: Option<EnvFilter>,
}

impl Directives {
    fn of(spec: Option<&str>) -> (Self, Option<String>) {
        let (all, warning) = log::filter(spec);
        let (mut named, _) = log::directives(spec);
        named.retain(|directive| directive.contains('['));
        let named = (!named.is_empty()).then(|| {
            // Nothing else passes: no default directive.
            let off = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into());
            off.parse_lossy(named.join(","))
        });
        (Directives { all, named }, warning)
    }
}

impl EventFilter {
    /// The filter of `RUST_LOG`, and a warning if parts of it cannot be used.
    pub(crate) fn new(spec: Option<&str>) -> (Self, Option<String>) {
        let (directives, warning) = Directives::of(spec);
        (EventFilter(Arc::new(ArcSwap::from_pointee(directives))), warning)
    }

    /// The most detailed level that can pass.
    pub(crate) fn max_level(&self) -> LevelFilter {
        self.0.load().all.max_level_hint().unwrap_or(LevelFilter::TRACE)
    }
}

/// Changes the directives of filters that are in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reload(Vec<Arc<ArcSwap<Directives>>>);

impl Reload {
    pub(crate) fn of<'a>(filters: impl IntoIterator<Item = &'a EventFilter>) -> Reload {
        Reload(filters.into_iter().map(|filter| Arc::clone(&filter.0)).collect())
    }

    /// Puts `spec` in place of what was. What is wrong with it, and then nothing has changed.
    pub(crate) fn set(&self, spec: &str) -> Result<(), String> {
        for filter in &self.0 {
            // Each has its own: it remembers the spans that it has seen.
            let (directives, warning) = Directives::of(Some(spec));
            if let Some(warning) = warning {
                return Err(warning);
            }
            filter.store(Arc::new(directives));
        }
        tracing_core::callsite::rebuild_interest_cache();
        Ok(())
    }
}

fn is_on_settings(metadata: &Metadata<'_>) -> bool {
    metadata.name() == ON_SETTINGS
}

// Every method has a twin in `Layer` by the same name.
impl<S> Filter<S> for EventFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        let now = self.0.load();
        if metadata.is_span() {
            let named = now.named.as_ref();
            named.is_some_and(|named| Filter::<S>::enabled(named, metadata, context))
        } else {
            Filter::<S>::enabled(&now.all, metadata, context) || is_on_settings(metadata)
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // `all` must know the callsites of named spans too: it is what they change.
        let now = self.0.load();
        let all = Filter::<S>::callsite_enabled(&now.all, metadata);
        match &now.named {
            _ if is_on_settings(metadata) => Interest::always(),
            _ if !metadata.is_span() => all,
            Some(named) => Filter::<S>::callsite_enabled(named, metadata),
            None => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let level = Filter::<S>::max_level_hint(&self.0.load().all);
        // As far as redspan's own warnings.
        level.map(|level| level.max(LevelFilter::WARN))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.0.load().all, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::<S>::on_record(&self.0.load().all, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_enter(&self.0.load().all, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_exit(&self.0.load().all, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::<S>::on_close(&self.0.load().all, id, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::spans_only::SpansOnly;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tracing::subscriber::with_default;
    use tracing_core::callsite::DefaultCallsite;
    use tracing_core::metadata::Kind;
    use tracing_core::{Event, Level, Subscriber};
    use tracing_subscriber::prelude::*;
    use tracing_subscriber::{Layer, registry};

    /// Counts the events that it hears.
    #[derive(Clone, Default)]
    struct Hears(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Hears {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    macro_rules! event_of {
        ($level:ident) => {{
            static CALLSITE: DefaultCallsite = DefaultCallsite::new(&EVENT);
            static EVENT: Metadata<'static> = tracing_core::metadata! {
                name: "an event",
                target: "shop",
                level: Level::$level,
                fields: &[],
                callsite: &CALLSITE,
                kind: Kind::EVENT,
            };
            &EVENT
        }};
    }

    #[test]
    fn of_events_filters_are_asked_once_and_the_bridge_hears_none() {
        let (events, _) = EventFilter::new(Some("info"));
        let (bridge, lines) = (Hears::default(), Hears::default());
        let filter = BridgeFilter { level: LevelFilter::INFO, events: events.clone() };
        let subscriber = registry()
            .with(SpansOnly(bridge.clone()).with_filter(filter))
            .with(lines.clone().with_filter(events));
        assert!(subscriber.register_callsite(event_of!(INFO)).is_always());
        assert!(subscriber.register_callsite(event_of!(DEBUG)).is_never());
        with_default(subscriber, || {
            tracing::info!("heard");
            tracing::debug!("too detailed");
            tracing::info!("heard");
        });
        assert_eq!([&bridge, &lines].map(|layer| layer.0.load(Relaxed)), [0, 2]);
    }
}

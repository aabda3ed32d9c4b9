//! Who hears what. Each layer of ours has a filter of its own: one filter for all of them would turn
//! tracing spans on in every call.

use crate::callsite::CallSite;
use crate::log;
use crate::span::tracer;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Interest, LevelFilter, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

/// What the bridge to OpenTelemetry hears: spans of others, up to the level up to which sites make
/// theirs (one request over HTTP/2 opens hundreds of detailed ones in `h2`); a site's only as a
/// view, since its own span is made without it. Events have a layer of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BridgeFilter {
    pub(crate) level: LevelFilter,
}

impl BridgeFilter {
    fn hears(self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && !CallSite::describes(metadata)
    }
}

impl<S> Filter<S> for BridgeFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() && (self.hears(metadata) || tracer::is_making_view(metadata.name()))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() && self.hears(metadata) {
            Interest::always()
        } else {
            // A view is never asked for through the cached interest.
            Interest::never()
        }
    }
}

/// What lines and span events are made of: the events that `RUST_LOG` names. Of spans only those
/// that it names in brackets (`[charge]=debug`), because only they change which events pass.
#[derive(Debug)]
pub(crate) struct EventFilter {
    all: EnvFilter,
    /// The directives with brackets alone.
    named: Option<EnvFilter>,
}

impl EventFilter {
    /// The filter of `RUST_LOG`, and a warning if parts of it cannot be used.
    pub(crate) fn new(spec: Option<&str>) -> (Self, Option<String>) {
        let (all, warning) = log::filter(spec);
        let in_brackets = spec.unwrap_or_default().split(',').filter(|part| part.contains('['));
        let named: Vec<&str> = in_brackets.collect();
        let named = (!named.is_empty()).then(|| {
            // Nothing else passes: no default directive.
            let off = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into());
            off.parse_lossy(named.join(","))
        });
        (EventFilter { all, named }, warning)
    }

    /// The most detailed level that can pass.
    pub(crate) fn max_level(&self) -> LevelFilter {
        self.all.max_level_hint().unwrap_or(LevelFilter::TRACE)
    }
}

// Every method has a twin in `Layer` by the same name.
impl<S> Filter<S> for EventFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        if metadata.is_span() {
            let named = self.named.as_ref();
            named.is_some_and(|named| Filter::<S>::enabled(named, metadata, context))
        } else {
            Filter::<S>::enabled(&self.all, metadata, context)
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // `all` must know the callsites of named spans too: it is what they change.
        let all = Filter::<S>::callsite_enabled(&self.all, metadata);
        match &self.named {
            _ if !metadata.is_span() => all,
            Some(named) => Filter::<S>::callsite_enabled(named, metadata),
            None => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.all)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.all, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::<S>::on_record(&self.all, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_enter(&self.all, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_exit(&self.all, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::<S>::on_close(&self.all, id, context);
    }
}

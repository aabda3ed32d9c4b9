//! Every option of every macro, in one place: what is accepted, what messages show, and what the
//! generated test tries (`tests.rs`).

/// An option that an attribute knows.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// The accepted form, as messages show it; it is accepted just so.
    pub(crate) usage: &'static str,
    /// A form of the wrong type.
    #[allow(dead_code, reason = "tried by the generated test")]
    pub(crate) wrong: &'static str,
    /// The option that must not be `false` beside this one, with what it would leave out.
    pub(crate) needs: Option<Needs>,
    /// Options that say the same thing in another way.
    pub(crate) excludes: &'static [&'static str],
    /// Whether it may stand several times.
    pub(crate) several: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) option: &'static str,
    pub(crate) because: &'static str,
}

const SPAN: Needs = Needs { option: "span", because: "tells of the span" };
const METRICS: Needs = Needs { option: "metrics", because: "tells of the metrics" };

impl Known {
    pub(crate) const fn new(name: &'static str, usage: &'static str, wrong: &'static str) -> Self {
        Known { name, usage, wrong, needs: None, excludes: &[], several: false }
    }

    const fn needs(self, needs: Needs) -> Self {
        Known { needs: Some(needs), ..self }
    }

    const fn excludes(self, excludes: &'static [&'static str]) -> Self {
        Known { excludes, ..self }
    }

    const fn several(self) -> Self {
        Known { several: true, ..self }
    }
}

/// `#[instrumented(…)]` on a function.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "there is no attribute then"))]
pub(crate) const INSTRUMENTED: &[Known] = &[
    Known::new("name", "name = \"checkout\"", "name = 3").needs(SPAN),
    Known::new("fields", "fields(order.id = order.id)", "fields = 3").needs(SPAN),
    Known::new("labels", "labels(tier = order.tier)", "labels = 3").needs(METRICS),
    Known::new("level", "level = \"debug\"", "level = 3").needs(SPAN),
    Known::new("kind", "kind = \"server\"", "kind = 3").needs(SPAN),
    Known::new("slo", "slo(latency = \"250ms\", target = 99.9)", "slo = 3")
        .needs(METRICS)
        .several(),
    Known::new("ok_if", "ok_if = |value| value.is_ok()", "ok_if = 3")
        .excludes(&["error_if", "none"]),
    Known::new("error_if", "error_if = |value| value.is_err()", "error_if = 3")
        .excludes(&["ok_if", "none"]),
    Known::new("none", "none = \"error\"", "none = 3").excludes(&["ok_if", "error_if"]),
    Known::new("err", "err = \"type\"", "err = 3").needs(SPAN),
    Known::new("sample", "sample = 0.1", "sample = [3]").needs(SPAN),
    Known::new("root", "root", "root = 3").needs(SPAN),
    Known::new("links", "links(message.span_context)", "links = 3").needs(SPAN),
    Known::new("service", "service = self", "service(3)"),
    Known::new("busy", "busy", "busy = 3").needs(SPAN),
    Known::new("log", "log", "log = 3"),
    Known::new("metrics", "metrics = false", "metrics = 3"),
    Known::new("span", "span = false", "span = 3"),
    Known::new("crate", "crate = my_framework::redspan", "crate = 3"),
];

/// What other crates' attributes call it, or what comes to mind first, and how it is said here.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "there is no attribute then"))]
pub(crate) const GUESSED: &[(&[&str], &str)] = &[
    (
        &["skip", "skip_all"],
        "nothing of a call is recorded but what `fields` lists, so there is nothing to skip",
    ),
    (&["attribute", "attributes", "tags"], "it is `fields` here: `fields(order.id = order.id)`"),
    (
        &["ret"],
        "what is returned may be one of the `labels`, of a closed set: `labels(tier = |result| …)`",
    ),
    (
        &["parent"],
        "a call's parent is the span that is current: carry that to where the function is called, with \
         `redspan::context`; `root` begins a trace of its own, and `links` names other spans",
    ),
    (&["follows_from"], "it is `links` here: `links(message.span_context)`"),
    (
        &["latency", "success", "objective"],
        "it is said in `slo`: `slo(latency = \"250ms\", target = 99.9)`, `slo(success, target = 99.95)`",
    ),
    (
        &["buckets"],
        "the threshold of an `slo` is a boundary by itself; others are set by \
         `redspan::builder().function_buckets(…)`",
    ),
    (
        &["trace", "debug", "info", "warn", "error"],
        "the span's level is said as `level`: `level = \"debug\"`",
    ),
    (
        &["internal", "server", "client", "producer", "consumer"],
        "the span's kind is said as `kind`: `kind = \"server\"`",
    ),
    (
        &["component", "struct_name"],
        "the type's name stands in front by itself where the attribute is on the `impl`, and \
         `#[derive(redspan::Instrumented)]` on the type names the component; `fields` is for this call",
    ),
    (
        &["enabled", "enable", "disabled", "disable", "no_span", "no_metrics"],
        "`span = false` and `metrics = false` leave out one of both; without the feature `instrument` there is \
         nothing of it, anywhere",
    ),
    (
        &["target"],
        "the target is the function's module, which nothing changes; a promise's is in `slo`: \
         `slo(success, target = 99.95)`",
    ),
    (
        &["track_concurrency"],
        "calls in flight are always counted, unless `metrics` are off: remove it",
    ),
];

/// `slo(…)` within it.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "there is no attribute then"))]
pub(crate) const SLO: &[Known] = &[
    Known::new("success", "success", "success = 3").excludes(&["latency"]),
    Known::new("latency", "latency = \"250ms\"", "latency = 3").excludes(&["success"]),
    Known::new("target", "target = 99.9", "target = \"high\""),
    Known::new("name", "name = \"checkout\"", "name = 3"),
];

/// `#[instrumented(…)]` beside `#[derive(Instrumented)]`.
#[cfg_attr(
    not(feature = "instrument"),
    allow(dead_code, reason = "the derive writes nothing then")
)]
pub(crate) const SERVICE: &[Known] = &[
    Known::new("name", "name = \"payments\"", "name = 3"),
    Known::new("crate", "crate = my_framework::redspan", "crate = 3"),
];

/// `#[instrumented(…)]` on a field below it.
#[cfg_attr(
    not(feature = "instrument"),
    allow(dead_code, reason = "the derive writes nothing then")
)]
pub(crate) const SERVICE_FIELD: &[Known] = &[
    Known::new("attribute", "attribute = \"cloud.region\"", "attribute = 3"),
    Known::new("label", "label = \"region\"", "label = 3"),
];

/// `#[label(…)]` on an enum.
pub(crate) const LABEL_ENUM: &[Known] = &[
    Known::new("rename_all", "rename_all = \"kebab-case\"", "rename_all = 3"),
    Known::new("crate", "crate = my_framework::redspan", "crate = 3"),
];

/// `#[label(…)]` on a variant.
pub(crate) const LABEL_VARIANT: &[Known] =
    &[Known::new("rename", "rename = \"name\"", "rename = 3")];

/// `#[metrics(…)]` on a struct.
pub(crate) const METRICS_STRUCT: &[Known] = &[
    Known::new("prefix", "prefix = \"shop\"", "prefix = 3"),
    Known::new("crate", "crate = my_framework::redspan", "crate = 3"),
];

/// `#[metric(…)]` on a field.
pub(crate) const METRICS_FIELD: &[Known] = &[
    Known::new("name", "name = \"shop.orders\"", "name = 3"),
    Known::new("help", "help = \"Orders placed.\"", "help = 3"),
    Known::new("unit", "unit = \"s\"", "unit = 3"),
    Known::new("buckets", "buckets = [0.1, 1, 10]", "buckets = 3").excludes(&["exponential"]),
    Known::new("exponential", "exponential", "exponential = 3").excludes(&["buckets"]),
    Known::new("limit", "limit = 500", "limit = \"many\""),
];

/// `#[label(…)]` of `Labels` on a struct.
pub(crate) const LABELS_STRUCT: &[Known] =
    &[Known::new("crate", "crate = my_framework::redspan", "crate = 3")];

/// `#[label(…)]` of `Labels` on a field.
pub(crate) const LABELS_FIELD: &[Known] = &[
    Known::new("name", "name = \"shop.region\"", "name = 3"),
    Known::new("cap", "cap = 100", "cap = \"many\""),
];

/// `#[error_type(…)]` on an enum, a variant or a struct.
pub(crate) const ERROR_TYPE: &[Known] = &[
    Known::new("client", "client", "client = 3").excludes(&["server"]),
    Known::new("server", "server", "server = 3").excludes(&["client"]),
    Known::new("retryable", "retryable", "retryable = 3"),
    Known::new("level", "level = \"warn\"", "level = 3"),
    Known::new("transparent", "transparent", "transparent = 3"),
    Known::new("crate", "crate = my_framework::redspan", "crate = 3"),
];

/// `#[compat::instrument(…)]`: what `#[tracing::instrument]` takes.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "there is no attribute then"))]
pub(crate) const COMPAT: &[Known] = &[
    Known::new("name", "name = \"checkout\"", "name = 3"),
    Known::new("target", "target = \"shop\"", "target = 3"),
    Known::new("level", "level = \"debug\"", "level = [3]"),
    Known::new("parent", "parent = &span", "parent"),
    Known::new("follows_from", "follows_from = [&span]", "follows_from"),
    Known::new("skip", "skip(order)", "skip = 3").excludes(&["skip_all"]),
    Known::new("skip_all", "skip_all", "skip_all = 3").excludes(&["skip"]),
    Known::new("fields", "fields(order.id = order.id)", "fields = 3"),
    Known::new("err", "err(Debug, level = \"warn\")", "err = 3").several(),
    Known::new("ret", "ret(Display, level = \"debug\")", "ret = 3").several(),
];

/// `err(…)` and `ret(…)` within it.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "there is no attribute then"))]
pub(crate) const COMPAT_EVENT: &[Known] = &[
    Known::new("Debug", "Debug", "Debug = 3").excludes(&["Display"]),
    Known::new("Display", "Display", "Display = 3").excludes(&["Debug"]),
    Known::new("level", "level = \"debug\"", "level = [3]"),
];

//! Coming from somewhere else, the names that leave, and what it costs.

/// From autometrics: what each of its options and settings is here.
///
/// The function metrics have autometrics' names and labels: `function_calls_total` with `function`, `module`,
/// `service_name` and `result`, which is `ok`, `error` or `cancelled`; `function_calls_duration_seconds`;
/// `function_calls_concurrent`; `build_info`; the `objective_*` labels. Its dashboards, recording rules and alerts
/// work as they are. `caller_function` and `caller_module` are there on request, on `function_calls_total` as in
/// autometrics: [`label_callers`](crate::metrics::label_callers). Without [`init!`](crate::init) they go to whatever recorder of the `metrics` crate is
/// installed; with it, to `/metrics`.
///
/// | autometrics 3.0 | redspan |
/// |---|---|
/// | `#[autometrics]` on a function | [`#[instrumented]`](macro@crate::instrumented) |
/// | `#[autometrics]` on an `impl` block, `struct_name = "…"` | `#[instrumented]` on the block: the type's name is found |
/// | `#[skip_autometrics]` on a method | `#[instrumented(off)]` |
/// | `ok_if = …`, `error_if = …` | the same |
/// | `track_concurrency` | nothing to write: always counted, and back at zero after panics and dropped futures |
/// | `objective = API_SLO`, `Objective::new("api").success_rate(P99_9).latency(Ms250, P99)` | `slo(success, target = 99.9)`, `slo(latency = "250ms", target = 99)` |
/// | the features `custom-objective-percentile` and `custom-objective-latency` | nothing to turn on: any target and threshold |
/// | `#[derive(ResultLabels)]`, `#[label(result = "ok")]` on a variant | `ok_if`, `error_if`; what kind of error it is: [`#[derive(ErrorType)]`](derive@crate::ErrorType) |
/// | `AutometricsSettings::builder().service_name(…)`, `AUTOMETRICS_SERVICE_NAME` | [`Builder::service_name`](crate::Builder::service_name), `OTEL_SERVICE_NAME` |
/// | `.histogram_buckets(…)` | [`Builder::function_buckets`](crate::Builder::function_buckets), for all functions or by name; an objective's threshold is always among them |
/// | `.init()`, `prometheus_exporter::init()` | [`init!`](crate::init) with the feature `prometheus` and `OTEL_METRICS_EXPORTER=prometheus`, or [`metrics::set_global_recorder`](https://docs.rs/metrics/0.24/metrics/fn.set_global_recorder.html) with [`recorder()`](crate::recorder()) |
/// | `prometheus_exporter::encode_to_string()` | [`Recorder::render_openmetrics`](crate::Recorder::render_openmetrics) |
/// | the features `metrics`, `prometheus`, `prometheus-client`, `opentelemetry` | none of them: one store, read by `/metrics` and OTLP; in host mode the `metrics` crate's recorder, whichever it is |
/// | the features `exemplars-tracing`, `exemplars-tracing-opentelemetry` | nothing to turn on |
/// | `otel_push_exporter` | `OTEL_METRICS_EXPORTER=otlp` with the feature `otlp` |
/// | `AUTOMETRICS_COMMIT`, `AUTOMETRICS_BRANCH` in a build script | [`Builder::revision`](crate::Builder::revision) |
/// | `.repo_url(…)`, `.repo_provider(…)` | [`Builder::resource_attribute`](crate::Builder::resource_attribute) with `vcs.repository.url.full`; not in `build_info` |
///
/// What differs:
///
/// | | autometrics | redspan | because |
/// |---|---|---|---|
/// | a call that panics | not counted, and the gauge stays up | `result="error"`, `outcome="panic"` | it was a call, and it failed |
/// | a future that is dropped | not counted, and the gauge stays up | `result="cancelled"` | it was no success, and nobody saw an error |
/// | labels beside its own | – | `outcome`; of errors `error_type` | a panic is another thing than an error, and one error than another |
/// | `caller_function`, `caller_module` | always; empty where nobody annotated called | on request, by [`Builder::label_callers`](crate::Builder::label_callers) or [`metrics::label_callers`](crate::metrics::label_callers); not there where nobody annotated called, which Prometheus takes for the same | each caller is as many series more, and who called is in the trace too |
/// | who the caller is | found when a call returns | found when it begins, or is first polled | a future may end elsewhere than it began |
/// | more callers of a function than 64 | each its own series | `__overflow__` | bounded |
/// | functions never called | at zero in debug builds | at zero always | a rate needs the zero before the first call |
/// | `None` | `result="ok"` with an empty label | `result="ok"`; an error where the option says so | |
/// | spans, lines | – | the same calls | |
///
/// Dashboards that add up `result="ok"` and `result="error"` to all calls leave the cancelled ones out; so do
/// autometrics' own success rates, which divide by the sum of both.
pub mod from_autometrics {}

#[doc = include_str!("guide/names.md")]
pub mod own_names {}

#[doc = include_str!("guide/compile_time.md")]
pub mod compile_time {}

#[doc = include_str!("guide/cost.md")]
pub mod cost {}

/// Two programs side by side, as `examples/` and `tests/logs_by_hand/` have them: by links, of which a package of
/// this crate alone has the contents.
macro_rules! side_by_side {
    ($program:literal) => {
        concat!(
            "<table><tr><th>redspan</th><th>by hand</th></tr><tr><td>\n\n```rust,ignore\n",
            include_str!(concat!("guide/logging/", $program, ".redspan.txt")),
            "```\n\n</td><td>\n\n```rust,ignore\n",
            include_str!(concat!("guide/logging/", $program, ".by_hand.txt")),
            "```\n\n</td></tr></table>\n"
        )
    };
}

/// Log lines: four small programs, each beside what it takes with tracing-subscriber's JSON layer.
///
/// On the left are the examples, `cargo run --example log_requests` and so on. On the right the same lines are made
/// by hand; a test runs both and compares what they say. By hand there are no ids of traces, and no thread that
/// writes; what is on the left has both.
///
/// # Formats for production and development
///
/// On a terminal coloured lines, elsewhere JSON; `RUST_LOG` says from which level on. More about formats and sinks:
/// [`log`](crate::log).
///
#[doc = side_by_side!("log_formats")]
///
/// # Operations with their time
///
/// One line for each call that has ended, by whichever end: `ok`, `error`, `panic` or `cancelled`. The function is
/// traced and measured as well.
///
#[doc = side_by_side!("log_operations")]
///
/// # A logger with fields, through three functions
///
/// [`Logger::with`](crate::Logger::with) adds a field, [`Logger::group`](crate::Logger::group) a prefix.
///
#[doc = side_by_side!("log_orders")]
///
/// # Requests with their ids
///
/// `redspan::tower::ServerLayer::log` and `request_id`, which `redspan::axum::layer()` has as well.
///
#[doc = side_by_side!("log_requests")]
pub mod logging {}

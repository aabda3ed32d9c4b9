//! The attribute macros of redspan.
//!
//! Use them through the `redspan` crate, which re-exports them: the code they write names that
//! crate, and the two are released in lockstep.
//!
//! With the feature `instrument` off every attribute hands its item back with exactly the same
//! tokens and does not even parse it, so a library may annotate its functions and leave the choice,
//! and the price, to the application.
//!
//! `REDSPAN_MACROS_DEBUG=1 cargo check` prints every expansion to standard error.

use proc_macro::TokenStream;

#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "the derives need less of it"))]
mod attrs;
mod case;
#[cfg(feature = "instrument")]
mod compat;
#[cfg(feature = "instrument")]
mod derive_instrumented;
#[cfg(not(feature = "instrument"))]
#[path = "off_derive.rs"]
mod derive_instrumented;
mod diag;
mod entry;
mod error_type;
#[cfg(feature = "instrument")]
mod instrumented;
mod label;
mod labels;
mod measured;
mod metrics;
#[cfg(not(feature = "instrument"))]
mod off;
mod options;
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "the derives need less of it"))]
mod paths;
#[cfg(feature = "instrument")]
mod service;
#[cfg(all(test, feature = "instrument"))]
mod tests;

#[cfg(not(feature = "instrument"))]
use off as compat;
#[cfg(not(feature = "instrument"))]
use off as instrumented;

/// Makes every call of a function a span and a RED measurement: rate, errors, duration.
///
/// It goes on free functions and on methods, sync and async, with any form of `self`, generics,
/// `impl Trait`, `unsafe` and `extern "C"`, in traits and in their implementations, and on functions
/// that a `macro_rules` writes. A call ends in exactly one of four ways: `ok`, `error`, `panic`, or,
/// for a future that is dropped before it is ready, `cancelled`.
///
/// ```
/// use redspan::instrumented;
///
/// #[instrumented(fields(order.id = id), error_if = |left| *left < 0)]
/// fn reserve(id: u64, shelf: &mut i64) -> i64 {
///     *shelf -= 1;
///     *shelf
/// }
/// # let (_, seen) = redspan::testing::scope(|| reserve(17, &mut 0));
/// # assert_eq!(seen.span("reserve").attribute("order.id"), Some(17.into()));
/// # assert_eq!(seen.calls("reserve").error, 1);
/// ```
///
/// # The seven options
///
/// All are optional; a mistake is reported at the word that has to change, all mistakes at once.
///
/// | option | accepts | meaning |
/// |---|---|---|
/// | `name = "checkout"` | a string literal | the span's name; the function's name by default. The metrics' label `function` is the function's name in any case |
/// | `fields(…)` | [see below](#the-fields), at most 32 | what of the call is recorded on the span; nothing else is |
/// | `labels(…)` | [see below](#labels), at most 8 | what the function's metrics are told apart by |
/// | `error_if = …` | a closure or the path of a function from `&Returned` to `bool` | which returned values are an error; without it a `Result` tells by itself, with it an `Err` is one only if this says so: `\|r\| r.is_err() \|\| …` |
/// | `level = "debug"` | `trace`, `debug`, `info`, `warn`, `error`, in any case, or a path that ends in one of them, such as `Level::DEBUG` | the span's level, `info` by default; it never silences the metrics |
/// | `kind = "server"` | `internal`, `server`, `client`, `producer`, `consumer`, in any case, or a path that ends in one of them, such as `Kind::Server` | the span's kind, `internal` by default |
/// | `slo(latency = "250ms", target = 99.9)`, `slo(success, target = 99.95)` | one of each: `latency` a text of a number with `us`, `ms`, `s` or `m`, from `"1us"` to `"60m"`; `target` a percentage of calls, from 1 to below 100; in one of them a `name` for both, which else is the span's | what the function promises, as the labels `objective_name`, `objective_percentile` and `objective_latency_threshold` (in seconds), as autometrics names them, a latency's on the histogram, a success's on the counter; the threshold is a boundary of the histogram, and `redspan::tail` can keep what is slower |
///
/// What leaves the process for a call, span attributes and series with their labels, is listed [at the crate's
/// front](../redspan/index.html#a-call). `cargo run --example service` shows a whole service.
///
/// # Labels
///
/// A label tells the series of a metric apart, so what it may say is bounded: a closed set known at compile
/// time, or a stated number of values.
///
/// | form | says |
/// |---|---|
/// | `tier = order.tier`, `vip` | a value of a closed set: `redspan::Label`, which is derived on enums, `bool`, and `Option` of them |
/// | `region = "eu"`, `zone = const { ZONE }` | always the same |
/// | `tenant = capped(order.tenant, 100)` | any `Display`, of which the first 100 values are told apart; the others are `__overflow__`. At most 1000, and 128 bytes of each |
/// | `brand = \|result\| result.as_ref().ok().map(Card::brand)` | what the closure says of the returned value: `None` is the value `none`; a call that did not return, for it panicked or was cancelled, has no such label |
/// | `code = capped(\|result\| …, 20)` | the same, of any values |
///
/// The expressions see the function's parameters and run before the body, once a call. A function tells at
/// most 4096 label sets apart; with more, the labels that come last say `__overflow__`. A generic function has
/// the set of its first type. With an objective and what the service shares they are on the counter and the
/// histogram; those that are known before the body also on the gauge of calls in flight.
///
/// ```
/// use redspan::{Label, instrumented};
///
/// #[derive(Clone, Copy, Label)]
/// enum Tier { Free, Paid }
///
/// #[instrumented(labels(tier, tenant = capped(tenant, 100), empty = |found| found.is_empty()))]
/// fn orders(tier: Tier, tenant: &str) -> Vec<u64> {
///     Vec::new()
/// }
/// # let (_, seen) = redspan::testing::scope(|| orders(Tier::Paid, "acme"));
/// # let labels = [("tier", "paid"), ("tenant", "acme"), ("empty", "true"), ("outcome", "ok")];
/// # assert_eq!(seen.counter("function_calls_total", &labels), Some(1));
/// ```
///
/// # What is an error
///
/// Without `ok_if` and `error_if` the returned value itself tells:
///
/// | returned | is an error | `error.type` |
/// |---|---|---|
/// | `Result<_, E>` | if it is `Err` | what `E` says of itself (`redspan::ErrorType`), or else its path |
/// | `Result` with `anyhow::Error`, `eyre::Report`, `Box<dyn Error>` | if it is `Err` | the path of the innermost error's type that is known: those of the standard library, and what `redspan::name_error` was told; or else the holder's |
/// | `http::StatusCode`, `http::Response`, a tuple that begins with a status, `axum::response::ErrorResponse`, what axum's extractors reject with: as the value, in `Ok` or in `Err` (features `tower`, `axum`, `reqwest`) | from 500 to 599; from 400 on where `kind = "client"` | the status: `500` |
/// | `tonic::Status` (feature `tonic`) | if the server is at fault; any but `Ok` where `kind = "client"` | the code: `INTERNAL` |
/// | anything else | no; with `error_if` or `ok_if`, if that says so | what the value says of itself, or else `_OTHER` |
///
/// That an `Err(StatusCode::NOT_FOUND)` is no error is how the conventions count: the server has done its
/// work. `error_if = Result::is_err` counts it.
///
/// # The fields
///
/// | form | records |
/// |---|---|
/// | `order.id = expr` | a primitive or a string |
/// | `order.id = %expr` | its `Display` |
/// | `order.id = ?expr` | its `Debug` |
/// | `id`, `order.id`, `%id`, `?order.id` | the same, under the name of the expression |
/// | `"any name" = expr` | the same, under a name that is no path |
/// | `later = Empty`, `later = tracing::field::Empty` | nothing yet: declared for `tracing::Span::current().record("later", …)` |
///
/// Arguments are not recorded unless they are listed. The expressions see the function's parameters
/// and run before the body, once a call, and not at all if nobody records the span. A name bound by
/// a pattern, such as `Path(id): Path<u64>`, is seen by reference: write `*id + 1`. They cannot end the function
/// or make it wait (`?`, `return`, `.await`): it must not go another way where somebody records it.
///
/// # Whole blocks
///
/// On an `impl` it instruments every method, with or without `self`; on a `trait` every method that has a
/// body; on an inline `mod` every function in it, and those of the blocks and modules inside. Nothing else
/// in the block changes. What is said of one function in a `mod` is best written with its path,
/// `#[redspan::instrumented(off)]`: with the feature off it is an attribute like any other, and has to be found.
///
/// ```
/// use redspan::instrumented;
/// # struct Receipt;
/// # trait Gateway { fn name(&self) -> &str; }
///
/// struct Payments;
///
/// #[instrumented(level = "debug")]             // for all of them
/// impl Payments {
///     async fn charge(&self, cents: u64) -> Result<Receipt, String> {
///         Ok(Receipt)
///     }
///
///     #[instrumented(level = "info", fields(id))]   // for this one: replaces what the block says
///     fn find(&self, id: u64) -> Option<Receipt> {
///         None
///     }
///
///     #[instrumented(off)]                     // not this one
///     fn is_open(&self) -> bool {
///         true
///     }
/// }
///
/// #[instrumented]
/// impl Gateway for Payments {
///     fn name(&self) -> &str {
///         "payments"
///     }
/// }
/// # let ((), seen) = redspan::testing::scope(|| { Payments.find(1); Payments.name(); Payments.is_open(); });
/// # assert_eq!(seen.calls("Payments::find").ok + seen.calls("<Payments as Gateway>::name").ok, 2);
/// # assert_eq!(seen.spans().len(), 2);
/// ```
///
/// Functions of a block are named after its type or trait, in the span's name and in the label `function`:
/// `Payments::charge`, `<Payments as Gateway>::name`, and `Gateway::name` for a body in the trait itself.
/// Type arguments are part of the name where they are no parameters of the block: `Repo<Order>::get`, but
/// `Repo::get` in `impl<T> Repo<T>`. An attribute on a single method does not know its type: `charge`.
///
/// An option of a method, or of a block in a module, replaces the same option of the block around it. What a
/// block's option mentions has to be there in every function: `fields(id)`, or a predicate of what is returned.
/// `name` goes on single functions only. What has no instrumented form is left out: a `const fn`, a
/// variadic function, a method without a body; so are tests (`#[test]`, `#[cfg(test)]`) and what a macro
/// in the block writes.
///
/// # Futures and streams
///
/// An `async fn` is measured from the first poll of its future until it is ready; so is a function
/// that returns a future, if its type says so: `impl Future<Output = …>`, `Pin<Box<dyn Future<…>>>`,
/// `BoxFuture<…>`. A future that is never polled is no call. Methods under `#[async_trait]` are such
/// functions. Their `fields` need an end in `async move { … }` or `Box::pin(async move { … })`; of a future that
/// is made in another way, and of a stream, `labels`, `links` and what the service shares are taken when the
/// function is called, and there are no `fields`: write to `redspan::current_span()`.
///
/// A function that returns a stream (`impl Stream<Item = …>`, `Pin<Box<dyn Stream<…>>>`,
/// `BoxStream<…>`) is measured until the stream ends. It is an error if one of the items is; a
/// stream that is dropped before its end is cancelled, or the error that it gave.
///
/// # What the function keeps
///
/// Parameters live as long and drop in the same order as without the attribute, in every edition;
/// bodies coerce to the return type as before; other attributes stay where they are, so
/// `#[tokio::main]` and `#[test]` go below this one; a future that was `Send` stays so. The body is
/// not parsed: the compiler's messages about it point at the code as written.
///
/// # Options that are needed less often
///
/// | option | accepts | meaning |
/// |---|---|---|
/// | `ok_if = …` | as `error_if` | which returned values are a success; excludes `error_if` |
/// | `none = "error"` | `error`, `ok` | a returned `None`, or `Ok(None)`, is an error, with the `error.type` `none` |
/// | `err = "type"` | `type`, `message` | how much of an error goes on the span: with `type` its `Display` is not called, so that the status has no description, and there is no event `exception`; `error.type` stays |
/// | `sample = 0.01` | a number from `0.0` to `1.0`, `"always"`, `"never"` | the share of traces to record among those that begin here: a hint, for samplers that follow it (`redspan::sample::hinted`, and what `init!` sets up by itself) |
/// | `root` | | each call begins a trace, linked to the span around it |
/// | `links(a, b)` | `SpanContext`, `redspan::context::Captured`, `Context`, `Link`; options and lists of them | spans that have to do with the call |
/// | `service = app.payments` | what has `#[derive(Instrumented)]`, or a reference, `Box`, `Rc` or `Arc` of it | the service whose attributes and labels the call takes over; a method in an instrumented block has its receiver |
/// | `busy` | where a future or a stream is measured | how long the future was polled, how long it waited, and how often: `busy_ns`, `idle_ns`, `redspan.polls` on the span |
/// | `log`, `log = "debug"` | a level, `info` by default | a line for each call that has ended, with `outcome`, `duration_ms` and the error; one that was not `ok` is at least a warning, and one whose error says how loud it is, as an `ErrorType` does, has that error's level. It is no event of the span, which says the same itself |
/// | `metrics = false` | | no metrics, only a span |
/// | `span = false` | | no span, only metrics |
/// | `crate = framework::redspan` | a path | where the crate `redspan` is, if it is re-exported or renamed |
///
/// ```
/// use redspan::instrumented;
///
/// #[instrumented(slo(latency = "250ms", target = 99.9), slo(success, target = 99.95))]
/// fn charge() {}
///
/// #[instrumented(none = "error", err = "type", log = "debug")]
/// fn find(id: u64) -> Result<Option<String>, std::io::Error> {
///     Ok(None)
/// }
///
/// #[instrumented(root, links(batch), busy)]
/// async fn import(batch: &[redspan::SpanContext]) {}
///
/// #[instrumented(span = false)]
/// fn hot() {}
/// # let (_, seen) = redspan::testing::scope(|| (charge(), find(1), hot()));
/// # assert_eq!(seen.calls("find").error, 1);
/// # assert_eq!(seen.spans().len(), 2);
/// ```
///
/// # Limits
///
/// - `const fn`, variadic functions and trait methods without a body cannot be instrumented.
/// - An attribute on a block does not see one of its functions' own under `cfg_attr`, and refuses it.
/// - The body of a `#[track_caller]` function in which a `return` or a `?` stands, or a macro that may hide one,
///   becomes a closure: `Location::caller()` and panics in it name the line in the body instead of the
///   caller's. So it is for `async fn`.
/// - A closure that is returned as `impl Fn(&str)` has to state the type of its parameter
///   (`|text: &str| …`), because nothing on the way out tells it; one that returns what it borrows, or coerces
///   what it returns, goes through a function that says its type, `fn typed<F: Fn(&str) -> &str>(f: F) -> F { f }`.
/// - Some lints are silent about what an attribute has written, and an `#[expect]` of them is unfulfilled: rustc's
///   `unconditional_recursion` and, of a body in a trait, `async_fn_in_trait`, and clippy's `unused_async`,
///   `manual_async_fn`, `missing_const_for_fn`, `ptr_arg`, `needless_pass_by_value`, `boxed_local`,
///   `toplevel_ref_arg`, `many_single_char_names`,
///   `needless_lifetimes`, `unnecessary_wraps`, `unused_self`, `only_used_in_recursion`,
///   `doc_paragraphs_missing_punctuation` and, of an `async fn`, `missing_errors_doc`. Of clippy's restrictions
///   `shadow_same`, `shadow_reuse`, `shadow_unrelated` and `implicit_return` see that parameters and body are written
///   in another place. In a method with `mut self`, `unused_assignments` is silent.
///   All others say what they say of the bare function, and no more.
/// - With the feature `instrument` off the options are gone as well: a parameter that nothing but an option mentions is
///   unused then, and a field that nothing but `#[derive(Instrumented)]` reads is never read; rustc says so where the
///   crate is built alone. `let _ = tier;` in a body is enough.
/// - rustdoc shows an `async fn` without attributes of other macros as `fn … -> impl Future<Output = …>`, which it is.
/// - An alias of a future's type is not known as one: such a function is measured until it returns. An associated type is,
///   where the attribute stands on the block that says it: of a tower `Service` on its whole `impl`, for
///   `fn call(…) -> Self::Future` with `type Future = Pin<Box<dyn Future<…>>>`.
#[proc_macro_attribute]
pub fn instrumented(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::instrumented(args, item)
}

/// Makes a block, an `async` block or each call of a closure a call: where the attribute
/// [`instrumented`](macro@instrumented) cannot stand.
///
/// First the name, for the span and the label `function` (and, with the module, `code.function.name`); then the attribute's options, but `name`; last the
/// expression, of which the value is that of the macro.
///
/// ```
/// use redspan::measured;
///
/// # async fn load(key: &str) -> Result<u32, std::io::Error> { Ok(17) }
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     let number = measured!("parse.number", fields(length = text.len()), { text.trim().parse::<u32>() })?;
///     Ok(number + 1)
/// }
///
/// async fn get(key: &str) -> Result<u32, std::io::Error> {
///     measured!("cache.fill", fields(key), async { load(key).await }).await
/// }
///
/// fn all(texts: &[&str]) -> Vec<Result<u32, std::num::ParseIntError>> {
///     texts.iter().map(measured!("parse.each", level = "debug", |text| parse(text))).collect()
/// }
/// # let (_, seen) = redspan::testing::scope(|| (parse("1"), all(&["1", "one"])));
/// # assert_eq!((seen.calls("parse.number").ok, seen.calls("parse.number").error), (2, 1));
/// # assert_eq!((seen.calls("parse.each").ok, seen.calls("parse.each").error), (1, 1));
/// ```
///
/// | expression | is a call |
/// |---|---|
/// | `{ … }`, `-> T { … }`, `unsafe { … }` | now |
/// | `async { … }`, `async move { … }` | from the first poll until it is ready |
/// | `\|a, b\| …` | each time it is called; one that ends in an `async` block or in `Box::pin(async …)`, from the first poll of that |
/// | `async \|a, b\| …` | each time it is called and polled |
///
/// In a block `return` and `?` end the block, as they do in an `async` block, and not the function around it;
/// its value is then the `Result`, and tells whether the call was an error. `break` and `continue` cannot
/// leave it, and it cannot give a variable outside its first value. What the code around a block expects tells its
/// type (`fn f() -> Result<u32, Error> { measured!("parse", { … }) }`); where that is nothing, as in front of a `?`,
/// the type of the error has to be told, as in every closure: `measured!("parse", -> Result<u32, Error> { … })`,
/// and at the end of an `async` block `Ok::<_, Error>(…)`.
///
/// The options see what is in scope where the expression stands, and the parameters of a closure. `busy` is for
/// what is polled: `async` blocks and closures that end in one. Of a service in whose method it stands a block
/// takes over what `service = self` asks for.
///
/// With the feature `instrument` off only the expression is left, and means the same.
///
/// [`redspan::span`](../redspan/fn.span.html) is for a span whose name or
/// attributes are known only when it runs, and has no metrics.
#[proc_macro]
pub fn measured(input: TokenStream) -> TokenStream {
    entry::measured(input)
}

/// `#[tracing::instrument]`, plus RED: the same arguments, the same spans, fields and events, and every
/// call counted.
///
/// Takes what `tracing-attributes` 0.1.31 takes. Use it as `redspan::compat::instrument`; the module
/// says what is different, and why.
#[proc_macro_attribute]
pub fn instrument(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::instrument(args, item)
}

/// Makes an enum a closed set of label values: the trait `redspan::Label`.
///
/// Each variant is a value, named in snake case; what a variant holds does not count.
///
/// | where | attribute | meaning |
/// |---|---|---|
/// | on the enum | `#[label(rename_all = "kebab-case")]` | another case for all: `snake_case`, `kebab-case`, `camelCase`, `PascalCase`, `lowercase`, `UPPERCASE`, `SCREAMING_SNAKE_CASE` |
/// | on the enum | `#[label(crate = path)]` | where the crate `redspan` is, if it is re-exported |
/// | on a variant | `#[label("name")]`, `#[label(rename = "name")]` | this value's name |
///
/// Two variants with one name are refused, since their series could not be told apart; so are an
/// empty name, which Prometheus takes for no label at all, and `__overflow__`.
#[proc_macro_derive(Label, attributes(label))]
pub fn label(input: TokenStream) -> TokenStream {
    entry::derive("#[derive(Label)]", input, label::expand)
}

/// Gives an error a stable `error.type`, and says who is to blame, whether to try again and how loud it
/// is: the trait `redspan::ErrorType`.
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `#[error_type("name")]` | a variant, a struct | its `error.type`: one word of letters, digits and any of `_ . : - /`, since queries and alerts name it; by default the variant's name, or the struct's, in snake case |
/// | `#[error_type(client)]`, `(server)` | a variant, a struct, the enum for all that do not say | whose fault it is; the server's by default |
/// | `#[error_type(retryable)]`, `(retryable = false)` | the same | whether the same call may succeed when it is made again; not, by default |
/// | `#[error_type(level = "info")]` | the same | how loud it is: `trace`, `debug`, `info`, `warn` or `error`; by default `warn` if the client is to blame, else `error` |
/// | `#[error_type(transparent)]` | a variant, a struct | what the error inside says; it must be an `ErrorType` |
/// | `#[error_type(crate = path)]` | the enum, a struct | where the crate `redspan` is, if it is re-exported |
///
/// They may be joined: `#[error_type("limit", client, level = "info")]`.
///
/// Snake case, because that is how OpenTelemetry writes such words itself, of which it asks that they are
/// predictable and few: `timeout`, `server_certificate_invalid`
/// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/>).
///
/// # Errors inside
///
/// Where thiserror passes an error on, with `#[error(transparent)]` or `#[from]`, the error inside is asked
/// if it is an `ErrorType`; if it is none, such as `std::io::Error`, the variant speaks for itself. What
/// the variant's own attribute says goes before what is inside, and that before what the enum says for
/// all. If the type of the error inside mentions a parameter of the type, it has to be an `ErrorType`: the
/// implementation is bound to that.
#[proc_macro_derive(ErrorType, attributes(error_type))]
pub fn error_type(input: TokenStream) -> TokenStream {
    entry::derive("#[derive(ErrorType)]", input, error_type::expand)
}

/// Makes a struct the label set of a metric: the trait `redspan::metrics::Labels`.
///
/// Each field is a label: a type that is a `Label`, or, with `cap`, a text.
///
/// | where | attribute | meaning |
/// |---|---|---|
/// | on a field | `#[label(cap = 100)]` | a text (`AsRef<str>`) of which the first 100 values are told apart; the others are `__overflow__` |
/// | on a field | `#[label(name = "shop.region")]` | the label's name; the field's by default |
/// | on the struct | `#[label(crate = path)]` | where the crate `redspan` is, if it is re-exported |
#[proc_macro_derive(Labels, attributes(label))]
pub fn labels(input: TokenStream) -> TokenStream {
    entry::derive("#[derive(Labels)]", input, labels::expand)
}

/// Makes the metrics of a struct at once: the trait `redspan::metrics::Metrics`.
///
/// Each field is a metric: a `Counter`, `UpDownCounter`, `Gauge` or `Histogram` of `redspan::metrics`,
/// alone or of a label set (`Counter<Placed>`). The first paragraph of its documentation is its help
/// text.
///
/// | where | attribute | meaning |
/// |---|---|---|
/// | on the struct | `#[metrics(prefix = "shop")]` | stands before every name, with a dot |
/// | on the struct | `#[metrics(crate = path)]` | where the crate `redspan` is, if it is re-exported |
/// | on a field | `#[metric(unit = "s")]` | the unit, by UCUM: `s`, `By`, `{order}`; it ends the name in Prometheus |
/// | on a field | `#[metric(buckets = [0.1, 1, 10])]` | upper bounds of a histogram's buckets |
/// | on a field | `#[metric(exponential)]` | buckets that follow the values |
/// | on a field | `#[metric(limit = 500)]` | how many series it may have; 2,000 by default, and never less than its closed labels need |
/// | on a field | `#[metric(name = "orders.placed")]` | the name; the field's by default |
/// | on a field | `#[metric(help = "…")]` | the help text, instead of the documentation |
///
/// Two fields with one name are refused here, other collisions by `register`, which names both places.
#[proc_macro_derive(Metrics, attributes(metrics, metric))]
pub fn metrics(input: TokenStream) -> TokenStream {
    entry::derive("#[derive(Metrics)]", input, metrics::expand)
}

/// Says what all methods of a service have in common: its name, and what of its fields is recorded with
/// every call.
///
/// The methods in blocks that are [instrumented](macro@instrumented) take it over. Those with any form of
/// `self` have the fields, as attributes and as labels; associated functions, such as `new`, only the name: there
/// is no value yet, and so their metrics are without its labels. Attributes are taken when the call begins.
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `#[instrumented(name = "payments")]` | the struct or enum | the span attribute `component`; by default the type's name in snake case |
/// | `#[instrumented(attribute)]`, `(attribute = "cloud.region")` | a field, also of a variant | a span attribute, under the field's name or another |
/// | `#[instrumented(label)]`, `(label = "region")` | a field of a struct | a label of the methods' metrics; its type is a `redspan::Label` |
/// | `#[instrumented(crate = path)]` | the struct or enum | where the crate `redspan` is, if it is re-exported |
///
/// The attributes stand below the derive. Fields without one are not recorded.
///
/// ```
/// use redspan::instrumented;
///
/// #[derive(Clone, Copy, redspan::Label)]
/// enum Region {
///     Eu,
///     Us,
/// }
///
/// #[derive(redspan::Instrumented)]
/// #[instrumented(name = "payments")]
/// struct Payments {
///     #[instrumented(attribute = "cloud.region", label)]
///     region: Region,
///     #[instrumented(attribute)]
///     shard: u32,
///     secret: String,                      // never recorded
/// }
///
/// #[instrumented]
/// impl Payments {
///     fn charge(&self) {}
/// }
///
/// Payments { region: Region::Eu, shard: 3, secret: String::new() }.charge();
/// # let ((), seen) = redspan::testing::scope(|| {
/// #     Payments { region: Region::Eu, shard: 3, secret: String::new() }.charge();
/// # });
/// # let span = seen.span("Payments::charge");
/// # assert_eq!(span.attribute("component"), Some("payments".into()));
/// # assert_eq!(span.attribute("cloud.region"), Some("eu".into()));
/// # assert_eq!(span.attribute("shard"), Some(3.into()));
/// # assert_eq!(span.attribute("secret"), None);
/// # let labels = [("function", "Payments::charge"), ("region", "eu"), ("outcome", "ok")];
/// # assert_eq!(seen.counter("function_calls_total", &labels), Some(1));
/// ```
///
/// The span of `charge` has `component = "payments"`, `cloud.region = "eu"` and `shard = 3`; its counters
/// and its histogram, and its gauge of calls in flight, have the label `region="eu"`.
///
/// A number, a boolean or a text is an attribute as it is; of other types the `Label` is taken, or else
/// the `Display`. An attribute or a label that a method's own `fields(…)` or `labels(…)` names is the
/// method's. A body in a trait itself does not know which type it is in, and takes nothing over. What is no
/// method, a handler or a [`measured!`](macro@measured), asks for it: `service = app.payments`.
///
/// `component` is no label of the metrics: their label `function` begins with the type's name.
#[proc_macro_derive(Instrumented, attributes(instrumented))]
pub fn derive_instrumented(input: TokenStream) -> TokenStream {
    entry::derive("#[derive(Instrumented)]", input, derive_instrumented::expand)
}

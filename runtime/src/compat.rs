//! `#[tracing::instrument]`, plus RED: replacing the import is the whole migration.
//!
//! ```
//! // Before: use tracing::instrument;
//! use redspan::compat::instrument;
//!
//! #[instrument(skip(pool), fields(order.id = order, receipt), err)]
//! fn charge(pool: &[u8], order: u64, card: &str) -> Result<u64, std::fmt::Error> {
//!     tracing::Span::current().record("receipt", 17);
//!     if pool.is_empty() { Err(std::fmt::Error) } else { Ok(order) }
//! }
//!
//! # #[cfg(all(feature = "testing", feature = "instrument"))] {
//! let (_, seen) = redspan::testing::scope(|| charge(&[], 3, "visa"));
//! let span = seen.span("charge");
//! assert_eq!(span.attribute("order.id"), Some(3.into()));
//! assert_eq!(span.attribute("card"), Some("visa".into()));     // arguments are recorded
//! assert_eq!(seen.calls("charge").error, 1);                    // and the call is counted
//! # }
//! ```
//!
//! Where an attribute is written with its path, `#[tracing::instrument(…)]` becomes
//! `#[redspan::compat::instrument(…)]`; everything else of `tracing` stays. Every argument of
//! tracing-attributes 0.1.31 is taken: `level`, `name`, `target`, `parent`, `follows_from`, `skip`,
//! `skip_all`, `fields`, `err` and `ret`, with their forms. What is said of a `const fn`, and of an `async fn`
//! whose body is not of the type that it promises, is what tracing's users know, in the same place; mistakes in the
//! arguments have messages of redspan's own, each at its word. There is no argument for where redspan is: a crate
//! that depends on it under another name writes `extern crate other_name as redspan;` in its `lib.rs` or `main.rs`.
//!
//! It stands apart from [`instrumented`](macro@crate::instrumented) because its privacy is the opposite:
//! **arguments are recorded unless they are skipped.** For new code prefer the other one.
//!
//! # Without `init!`
//!
//! In an application that keeps its own subscriber a call makes the ordinary tracing span: the same
//! name, level, target, file and line, fields in the same order with the same values, events, parent and
//! causes; a future is entered around each poll, and once more when it is dropped. What differs:
//!
//! | | with tracing | here | because |
//! |---|---|---|---|
//! | `target` in front of `parent` or `follows_from` | refused | accepted | the refusal is a slip in the parser |
//! | an unknown option with a value, `nmae = "x"` | two warnings, and a span named `x` | one warning, which says what was meant | a typo should not name the span |
//! | `"any name" = value` in `fields` | refused | accepted | as everywhere else in tracing |
//! | parameters | dropped after the span is left | dropped in it, in the order of the bare function | the time that takes is the call's |
//! | a panic while a field is rendered | becomes the function's | costs the span | telemetry does not harm its host |
//! | what `#[async_trait]` up to 0.1.43 wrote, `Box::pin(__f(…))` of an inner `async fn` | the future is measured | what makes it is, until it returns | later versions write `Box::pin(async move { … })`, and that is measured |
//! | the feature `log` of tracing, with no subscriber | spans and their events become log records | they do not | tracing decides that inside its macros |
//!
//! # With `init!`
//!
//! The call's span is redspan's own and is exported by it. Its name, kind, parent, links, status, fields,
//! also those recorded later, and events are those that tracing-opentelemetry 0.34 exports with its
//! defaults; so are `otel.name`, `otel.kind`, `otel.status_code` and `otel.status_description` among the
//! fields. What differs:
//!
//! | | tracing-opentelemetry | here | because |
//! |---|---|---|---|
//! | unsigned numbers | text | numbers | they can be compared and added up |
//! | a call that returns `Err` without `err` | status unset | status Error without a text, `error.type` | span, counter and line agree on how a call ended; what the error says is recorded only where `err` asks for it |
//! | a call that panics | status unset | status Error, `error.type` | the same |
//! | a call that is cancelled | nothing | `redspan.outcome` | the same |
//! | an event of level ERROR in a call that succeeds | status Error | status unset | a failure that was overcome must not page anybody |
//! | a key that is recorded twice | two attributes of one key | the last value | OpenTelemetry's keys are unique |
//! | `thread.id`, `thread.name`, `busy_ns`, `idle_ns` | on every span | not | two clock reads at each poll, for a number that few look at |
//! | `code.function.name`, `redspan.outcome` | no | yes | the conventions' name for where the code is |
//! | `target`, `code.*` on spans that tracing's own macros make | yes | not | four attributes a span, for libraries' spans that their names tell apart |
//! | code locations on events (`code.*`) | yes | no | they repeat what `target` says |
//! | `exception.stacktrace` with the sources of an error | on spans and events | `….chain` alone | a chain of sources is no stack trace |
//! | `….chain` of an error without sources | an empty list | not | it says nothing |
//! | when a span ends | when it is last left | when the call ends | its duration is the histogram's |
//!
//! A span is made from the level on that `RUST_LOG` lets through, `info` by default: see
//! [`init!`](crate::init).
//!
//! # Futures
//!
//! An `async fn`, and a function that ends in `async move { … }` or `Box::pin(async move { … })`, as
//! `#[async_trait]` writes it, is measured until its future is ready. Whether it returned an `Err` is
//! known where the signature says what it returns: `-> impl Future<Output = T>`, `Pin<Box<dyn
//! Future<Output = T>>>`, `BoxFuture<'_, T>`. Behind an alias of another name it is known with `err`.
//!
//! # Shown on two crates
//!
//! On 21 November 2026 two public crates were migrated by replacing the import alone, and the runs of their own
//! tests, in host mode, were compared with those before: every span's name, target, level, place, fields, late
//! records, parent and events, as one tree a root span; ids, paths, times and the order of hash sets left out.
//!
//! | | lines changed | their tests, before and after | what their tests make, before and after |
//! |---|---|---|---|
//! | sea-orm 2.0.4, SQLite | 13 in 13 files | 741 passed | 8,411 spans, 2,623 events, 4,510 late records; no difference |
//! | jj-lib 0.45.1 | 18 in 13 files | 1,725 passed, 3 failed, the same ones | without 16 tests of races: 14,133 spans, 7,475 events; no difference |

pub use redspan_macros::instrument;

//! Exchanges over HTTP made by chance: handlers that answer, redirect, panic, wait for ever, ask on; bodies of both sides
//! that have a length, parts, pauses, trailers, that break off, panic or stall; clients that read, leave, have no
//! patience or hang up in the middle. Each is seen from outside of the layer and from within, by what stands around it
//! and by what it is made of, and whatever became of it, spans, numbers and lines say the same.
//!
//! `cargo test` runs some hundreds of them. More, or one again:
//! `REDSPAN_EXCHANGES=10000 cargo test --test random_http`, `REDSPAN_EXCHANGE=17 cargo test --test random_http`.

#[path = "random_http/client.rs"]
mod client;
#[path = "random_http/compared.rs"]
mod compared;
#[path = "random_http/plan.rs"]
mod plan;
#[path = "random_http/server.rs"]
mod server;
#[path = "random_http/world.rs"]
mod world;

use client::ask;
use compared::{Numbers, compared, shown};
use opentelemetry::trace::SpanContext;
use plan::plan;
use redspan::catalog;
use redspan::sample::{parent_based, trace_id_ratio};
use redspan_tests::{Kept, Lines, Random, page, process, seeds};
use server::router;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use world::{HELD, SERVER, Served, WORLD, World};

/// Exchanges at once, between two looks at what was exported.
const AT_ONCE: usize = 40;

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Waits until nothing of what was served is anywhere else.
async fn settled(asked: &mut JoinSet<()>) {
    let settling = async {
        while let Some(done) = asked.join_next().await {
            done.unwrap();
        }
        let in_flight = |it: &&Arc<Served>| Arc::strong_count(it) > 1;
        while WORLD.lock().unwrap().served.iter().any(|it| in_flight(&it)) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(LONG, settling).await.is_err() {
        let mut world = WORLD.lock().unwrap();
        let World { served, wrong, .. } = &mut *world;
        let held = served.iter().filter(|it| Arc::strong_count(it) > 1);
        wrong.extend(held.map(|it| format!("{it:?} is not over")));
    }
}

#[test]
fn whatever_an_exchange_comes_to_spans_numbers_and_lines_say_so() {
    const TEST: &str = "whatever_an_exchange_comes_to_spans_numbers_and_lines_say_so";
    process::alone(TEST, &[], || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let kept = Kept::default();
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .spans_to(kept.clone())
            .sampler(parent_based(trace_id_ratio(0.7)))
            .metrics_at(([127, 0, 0, 1], 0).into())
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        SERVER.set(listener.local_addr().unwrap()).unwrap();
        runtime.spawn(async { axum::serve(listener, router()).await });
        let exchanges: Vec<u64> = seeds("REDSPAN_EXCHANGE", "REDSPAN_EXCHANGES", 400).collect();
        let mut numbers = Numbers::new();
        for seeds in exchanges.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for seed in seeds {
                let plan = plan(&mut Random(*seed), *seed, 3);
                if exchanges.len() == 1 {
                    println!("{plan:#?}");
                }
                asked.spawn(ask(SpanContext::empty_context(), Arc::new(plan)));
            }
            runtime.block_on(settled(&mut asked));
            assert!(telemetry.flush(LONG));
            let page = page::get(telemetry.metrics_address().unwrap(), "/metrics", LONG).unwrap();
            let world = std::mem::take(&mut *WORLD.lock().unwrap());
            let wrong = compared(&world, &kept, &lines, &mut numbers, &shown(&page));
            assert!(
                wrong.is_empty(),
                "from REDSPAN_EXCHANGE={} on: {}",
                seeds[0],
                wrong.join("\n")
            );
        }
        assert_eq!(Arc::strong_count(&HELD), 1, "a context is still held");
        assert!(catalog().all(|site| site.red().in_flight() == 0));
    });
}

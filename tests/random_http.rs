//! Exchanges over HTTP made by chance: handlers that answer, redirect, panic, wait for ever, ask on; bodies of both sides
//! that have a length, parts, pauses, trailers, that break off, panic or stall, and answers that give back what is still
//! being sent; upgrades and tunnels, refused or not, and the sessions that go on after them; clients that read, leave,
//! have no patience or hang up in the middle. Each is seen from outside of the layer and from within, by what stands
//! around it and by what it is made of, and whatever became of it, spans, numbers and lines say the same.
//!
//! `cargo test` runs some hundreds of them. More, or one again:
//! `REDSPAN_EXCHANGES=10000 cargo test --test random_http`, `REDSPAN_EXCHANGE=17 cargo test --test random_http`.

#[path = "random_http/bodies.rs"]
mod bodies;
#[path = "random_http/client.rs"]
mod client;
#[path = "random_http/compared.rs"]
mod compared;
#[path = "random_http/plan.rs"]
mod plan;
#[path = "random_http/server.rs"]
mod server;
#[path = "random_http/sessions.rs"]
mod sessions;
#[path = "random_http/world.rs"]
mod world;

use client::ask;
use compared::{Line, Numbers, compared, shown};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use plan::plan;
use redspan::sample::{parent_based, trace_id_ratio};
use redspan::{Telemetry, catalog};
use redspan_tests::{Kept, Lines, Random, page, process, seeds};
use server::router;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use world::{HELD, SERVER, WORLD, World, is_settled};

/// Exchanges at once, between two looks at what was exported.
const AT_ONCE: usize = 40;

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Waits until nothing of what was served is anywhere else. False if that takes too long.
async fn settled(asked: &mut JoinSet<()>) -> bool {
    let settling = async {
        while let Some(done) = asked.join_next().await {
            done.unwrap();
        }
        while !is_settled(&WORLD.lock().unwrap().served) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, settling).await.is_ok()
}

/// All that became of a request.
struct Seen {
    world: World,
    spans: Vec<SpanData>,
    lines: Vec<Line>,
    numbers: Numbers,
}

/// What was seen, once all is over. Who is served after its client gave up may come late: then it is looked at again,
/// so that all that became of a request is seen at once.
fn seen(
    mut settles: impl FnMut() -> bool,
    telemetry: &Telemetry,
    kept: &Kept,
    said: &Lines,
) -> Seen {
    let (mut spans, mut lines) = (Vec::new(), Vec::new());
    loop {
        let settles = settles();
        let served = WORLD.lock().unwrap().served.len();
        assert!(telemetry.flush(LONG));
        let page = page::get(telemetry.metrics_address().unwrap(), "/metrics", LONG).unwrap();
        spans.append(&mut kept.0.lock().unwrap());
        lines.extend(said.take_json());
        let mut world = WORLD.lock().unwrap();
        if !settles {
            let World { served, wrong, .. } = &mut *world;
            let held = served.iter().filter(|it| Arc::strong_count(it) > 1);
            wrong.extend(held.map(|it| format!("{it:?} is not over")));
        } else if world.served.len() != served || !is_settled(&world.served) {
            continue;
        }
        return Seen { world: std::mem::take(&mut world), spans, lines, numbers: shown(&page) };
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
            let settles = || runtime.block_on(settled(&mut asked));
            let seen = seen(settles, &telemetry, &kept, &lines);
            let wrong = compared(&seen.world, seen.spans, seen.lines, &mut numbers, &seen.numbers);
            assert!(
                wrong.is_empty(),
                "from REDSPAN_EXCHANGE={} on: {}",
                seeds[0],
                wrong.join("\n")
            );
        }
        let freed = async {
            while Arc::strong_count(&HELD) > 1 {
                sleep(Duration::from_millis(2)).await;
            }
        };
        runtime.block_on(async { timeout(LONG, freed).await }).expect("no context is held");
        assert!(catalog().all(|site| site.red().in_flight() == 0));
    });
}

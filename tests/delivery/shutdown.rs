//! The end: with a receiver, without one, with one that hangs; in any runtime and in none.

use super::load::fetch;
use super::{LONG, adds_up, calls, installed, pairs, settings, shared_machine, sink, to, until};
use redspan::export::OtlpSink;
use redspan_tests::process::{alone, is_alone, run};
use redspan_tests::{Behaviour, Hangs, Receiver, Transport};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A shutdown that the receiver does not help: it ends, and every span has its place.
fn ends_anyway(test: &str, transport: Transport, behaviour: Option<Behaviour>) {
    let _with_others = shared_machine();
    alone(test, &[], || {
        let mut receiver = Receiver::start();
        match behaviour {
            Some(behaviour) => receiver.behave(behaviour),
            None => receiver.stop(),
        }
        // Short enough to see the end of the batch that is on its way at the deadline.
        let settings = settings(&receiver, transport).timeout(Duration::from_secs(3));
        let telemetry = installed(OtlpSink::new(settings).unwrap());
        pairs(10_000);
        let start = Instant::now();
        let in_time = telemetry.shutdown(Duration::from_secs(2));
        let took = start.elapsed();
        let stats = telemetry.spans();
        println!("shut down in {took:.2?}, in time: {in_time}: {stats:?}");
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert!(!in_time, "so many spans cannot be given up on in two seconds");
        assert_eq!((stats.sampled, stats.running, stats.exported), (20_000, 0, 0));
        assert!(stats.dropped["already_shutdown"] > 0);
        adds_up(&stats);

        // Later calls are counted, and their spans with them; nothing waits any more.
        pairs(100);
        let start = Instant::now();
        assert!(telemetry.shutdown(LONG), "a second time is harmless");
        assert!(telemetry.flush(LONG), "there is nothing left to send");
        assert!(start.elapsed() < Duration::from_secs(15));
        assert_eq!(calls("outer"), 10_100);
        let later = telemetry.spans();
        assert_eq!(later.dropped["already_shutdown"], stats.dropped["already_shutdown"] + 200);
        adds_up(&later);

        // The batch that was on its way comes to its end, and is not counted twice.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(telemetry.spans(), later);
    });
}

#[test]
fn who_waits_for_as_long_as_it_takes_may_say_so() {
    use redspan::export::OtlpMetrics;
    let _with_others = shared_machine();
    alone("shutdown::who_waits_for_as_long_as_it_takes_may_say_so", &[], || {
        let receiver = Receiver::start();
        let forever = Duration::MAX;
        let to = || settings(&receiver, Transport::Grpc).timeout(forever);
        let console = redspan::export::ConsoleSink::to(std::io::sink());
        let telemetry = redspan::builder()
            .spans_to(OtlpSink::new(to()).unwrap())
            .spans_to(console)
            .batching(redspan::export::Batching::default().delay(forever).timeout(forever))
            .metrics_to(OtlpMetrics::new(to()).unwrap())
            .metrics_every(forever)
            .metrics_timeout(forever)
            .logs(redspan::log::layer().with_writer(std::io::stderr()))
            .install()
            .unwrap();
        for round in 1..=2 {
            pairs(10);
            assert!(telemetry.flush(forever));
            assert_eq!(telemetry.spans().exported, round * 20);
            assert!(!receiver.take_points().is_empty());
        }
        pairs(10);
        assert!(telemetry.shutdown(forever));
        assert_eq!((telemetry.spans().exported, receiver.count()), (60, 60));
    });
}

#[test]
fn a_shutdown_without_a_receiver_ends_over_grpc() {
    ends_anyway("shutdown::a_shutdown_without_a_receiver_ends_over_grpc", Transport::Grpc, None);
}

#[test]
fn a_shutdown_without_a_receiver_ends_over_http() {
    ends_anyway("shutdown::a_shutdown_without_a_receiver_ends_over_http", Transport::Http, None);
}

#[test]
fn a_shutdown_with_a_receiver_that_hangs_ends_over_grpc() {
    let test = "shutdown::a_shutdown_with_a_receiver_that_hangs_ends_over_grpc";
    ends_anyway(test, Transport::Grpc, Some(Behaviour::Hang));
}

#[test]
fn a_shutdown_with_a_receiver_that_hangs_ends_over_http() {
    let test = "shutdown::a_shutdown_with_a_receiver_that_hangs_ends_over_http";
    ends_anyway(test, Transport::Http, Some(Behaviour::Hang));
}

#[test]
fn a_guard_dropped_while_the_receiver_hangs_ends() {
    let test = "shutdown::a_guard_dropped_while_the_receiver_hangs_ends";
    if is_alone(test) {
        let telemetry = redspan::init!().unwrap();
        pairs(1_000);
        let start = Instant::now();
        drop(telemetry);
        println!("dropped in {:.2?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(30));
        return;
    }
    let _with_others = shared_machine();
    for transport in [Transport::Grpc, Transport::Http] {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        println!("{}", run(test, &to(&receiver, transport)));
    }
}

#[test]
fn the_log_has_time_for_its_last_lines_although_the_receiver_used_all_of_it() {
    let test = "shutdown::the_log_has_time_for_its_last_lines_although_the_receiver_used_all_of_it";
    let _with_others = shared_machine();
    alone(test, &[], || {
        /// A destination that is stuck until the gate's other end is dropped.
        struct Stuck(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.recv();
                self.1.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (_never, hanging) = Hangs::until_dropped();
        let (gate, stuck) = mpsc::channel();
        let written = Arc::default();
        let telemetry = redspan::builder()
            .spans_to(hanging)
            .logs(redspan::log::layer().with_writer(Stuck(stuck, Arc::clone(&written))))
            .install()
            .unwrap();
        pairs(10);
        tracing::error!("last words");
        thread::scope(|scope| {
            scope.spawn(|| {
                let given_up = || telemetry.spans().dropped.contains_key("already_shutdown");
                until("given up", given_up);
                drop(gate);
            });
            assert!(!telemetry.shutdown(Duration::from_secs(1)), "the spans were not taken");
            let lines = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            assert!(lines.contains("last words"), "{lines:?}");
        });
    });
}

#[test]
fn a_second_install_is_refused_and_names_the_first() {
    alone("shutdown::a_second_install_is_refused_and_names_the_first", &[], || {
        let receiver = Receiver::start();
        let builder = redspan::builder().spans_to(sink(&receiver, Transport::Http));
        let (first, line) = (builder.install().unwrap(), line!());
        let refused = redspan::init!().unwrap_err().to_string();
        println!("{refused}");
        assert!(refused.contains(&format!("shutdown.rs:{line}:")), "{refused}");
        let refused = redspan::builder().install().unwrap_err().to_string();
        assert!(refused.contains(&format!("shutdown.rs:{line}:")), "{refused}");
        // And the first goes on.
        pairs(10);
        assert!(first.flush(LONG));
        assert_eq!(receiver.count(), 20);
        assert!(first.shutdown(LONG));
        assert!(first.shutdown(LONG), "a second time is harmless");
        adds_up(&first.spans());
    });
}

/// Installs, calls, flushes and drops the guard, all in one place.
async fn life() {
    let telemetry = redspan::init!().unwrap();
    pairs(5);
    assert_eq!(fetch(1).await, 2);
    assert!(telemetry.flush(LONG));
    let flushed = telemetry.spans();
    assert_eq!((flushed.exported, flushed.dropped()), (12, 0), "{flushed:?}");
    pairs(5);
    drop(telemetry);
}

#[test]
fn the_guard_may_live_and_be_dropped_in_any_runtime_and_in_none() {
    let test = "shutdown::the_guard_may_live_and_be_dropped_in_any_runtime_and_in_none";
    if is_alone(test) {
        let current_thread = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let multi_thread = || tokio::runtime::Runtime::new().unwrap();
        match std::env::var("PLACE").unwrap().as_str() {
            "current thread" => current_thread().block_on(life()),
            "multi thread" => multi_thread().block_on(life()),
            "task" => {
                let runtime = multi_thread();
                runtime.block_on(runtime.spawn(life())).unwrap();
            }
            "local task" => {
                let local = tokio::task::LocalSet::new();
                current_thread().block_on(local.run_until(life()));
            }
            "blocking" => {
                let runtime = multi_thread();
                let inside = runtime.handle().clone();
                let blocking = runtime.spawn_blocking(move || inside.block_on(life()));
                runtime.block_on(blocking).unwrap();
            }
            "no runtime" => {
                // Only polled, by nobody's runtime.
                let waker = std::task::Waker::noop();
                let mut context = std::task::Context::from_waker(waker);
                let mut life = std::pin::pin!(life());
                while life.as_mut().poll(&mut context).is_pending() {}
            }
            // Made by one runtime, dropped by another, when the first is gone.
            "two runtimes" => {
                let telemetry = current_thread().block_on(async { redspan::init!().unwrap() });
                pairs(5);
                assert!(telemetry.flush(LONG));
                multi_thread().block_on(async move {
                    fetch(1).await;
                    pairs(5);
                    drop(telemetry);
                });
            }
            other => panic!("{other}"),
        }
        return;
    }
    let _with_others = shared_machine();
    for transport in [Transport::Grpc, Transport::Http] {
        for place in [
            "current thread",
            "multi thread",
            "task",
            "local task",
            "blocking",
            "no runtime",
            "two runtimes",
        ] {
            let receiver = Receiver::start();
            let [endpoint, protocol] = to(&receiver, transport);
            run(test, &[endpoint, protocol, ("PLACE", place.to_owned())]);
            assert_eq!(receiver.count(), 22, "{place}, {transport:?}");
        }
    }
}

//! The service: 10,500 local traces a second for eleven seconds, over threads and tasks, and a list
//! of them.

use super::{LONG, until};
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, TraceContextExt, TraceId};
use redspan::export::{OtlpSettings, OtlpSink};
use redspan::{instrumented, tail};
use redspan_tests::page;
use std::collections::HashMap;
use std::fmt::Write;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What is slower is kept. A busy machine makes few others as slow.
pub(super) const SLOW: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Fine,
    Error,
    Panic,
    Cancelled,
    Slow,
}

pub(super) const FATES: [Fate; 5] =
    [Fate::Fine, Fate::Error, Fate::Panic, Fate::Cancelled, Fate::Slow];

impl Fate {
    pub(super) fn word(self) -> &'static str {
        ["fine", "error", "panic", "cancelled", "slow"][self as usize]
    }

    /// One in fifty is grave; the same ones in every run.
    fn of(n: u64) -> Fate {
        match scattered(n) % 200 {
            0 => Fate::Error,
            1 => Fate::Panic,
            2 => Fate::Cancelled,
            // A thread has no time for it.
            3 if n >= TASKS => Fate::Slow,
            _ => Fate::Fine,
        }
    }
}

/// Numbers from here on are those of tasks.
const TASKS: u64 = 1 << 40;

/// Numbers that are spread evenly, and the same in every run.
fn scattered(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A trace, and how many spans it has.
type Began = (TraceId, Fate, u64);

fn trace_id() -> TraceId {
    Context::current().span().span_context().trace_id()
}

/// Four spans; now and then a fifth that outlives its root on another thread.
#[instrumented]
fn request(n: u64, elsewhere: &mpsc::Sender<(Context, u64)>) -> Began {
    let fate = Fate::of(n);
    query(n);
    let _ = catch_unwind(|| match fate {
        Fate::Error => drop(fails()),
        Fate::Panic => panics(),
        Fate::Cancelled => {
            let mut future = Box::pin(waits());
            let waker = std::task::Waker::noop();
            let _ = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
        }
        Fate::Fine | Fate::Slow => leaf(n),
    });
    let more = n.is_multiple_of(20);
    if more {
        elsewhere.send((Context::current(), n)).unwrap();
    }
    (trace_id(), fate, 4 + u64::from(more))
}

#[instrumented(fields(rows = n % 7))]
fn query(n: u64) {
    leaf(n);
}

#[instrumented]
fn leaf(n: u64) {
    if n.is_multiple_of(2) {
        let bytes = 10_f64.powf((scattered(n) % 10_000) as f64 / 1_000.0);
        metrics::histogram!("basket_bytes", "shard" => (n % 16).to_string()).record(bytes);
    }
}

#[instrumented]
fn other_thread(_: u64) {}

#[instrumented]
fn fails() -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)
}

#[instrumented]
fn panics() {
    // Without the hook's message.
    resume_unwind(Box::new(()));
}

#[instrumented]
async fn waits() {
    std::future::pending::<()>().await;
}

/// Four spans, two of them in a task of their own; now and then a fifth that outlives its root.
#[instrumented(fields(n = n))]
async fn request_in_tasks(n: u64) -> Began {
    let fate = Fate::of(n);
    let fetched = tokio::spawn(fetch(n).with_current_context());
    match fate {
        Fate::Error => drop(fails()),
        Fate::Panic => {
            let panics = async { panics() }.with_current_context();
            assert!(tokio::spawn(panics).await.is_err());
        }
        Fate::Cancelled => drop(tokio::time::timeout(Duration::from_millis(1), waits()).await),
        Fate::Slow => sleeps().await,
        Fate::Fine => leaf(n),
    }
    fetched.await.unwrap();
    let more = n.is_multiple_of(20);
    if more {
        tokio::spawn(outlives().with_current_context());
    }
    (trace_id(), fate, 4 + u64::from(more))
}

#[instrumented(fields(n = n))]
async fn fetch(n: u64) {
    tokio::task::yield_now().await;
    leaf(n);
}

#[instrumented]
async fn sleeps() {
    tokio::time::sleep(SLOW + Duration::from_millis(50)).await;
}

#[instrumented]
async fn outlives() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

/// Calls `each` with the numbers of 4-millisecond steps, at their times; it catches up when late, at
/// twice the pace at most: a machine that stood still is no burst.
fn paced(steps: u64, mut each: impl FnMut(u64)) {
    let start = Instant::now();
    for step in 0..steps {
        let due = start + Duration::from_millis(4 * step);
        let left = due.saturating_duration_since(Instant::now());
        thread::sleep(left.max(Duration::from_millis(2)));
        each(step);
    }
}

const STEPS: u64 = 2_750;
const THREADS: u64 = 2;
/// Traces in each step of a thread, and of the tasks.
const IN_A_STEP: u64 = 14;

fn traffic() -> Vec<Began> {
    let (elsewhere, work) = mpsc::channel::<(Context, u64)>();
    let other = thread::spawn(move || {
        for (context, n) in work {
            let _in = context.attach();
            other_thread(n);
        }
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut all = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let elsewhere = elsewhere.clone();
                scope.spawn(move || {
                    let mut began = Vec::new();
                    paced(STEPS, |step| {
                        for n in step * IN_A_STEP..(step + 1) * IN_A_STEP {
                            began.push(request((thread << 32) + n, &elsewhere));
                        }
                    });
                    began
                })
            })
            .collect();
        let mut tasks = Vec::new();
        paced(STEPS, |step| {
            for n in step * IN_A_STEP..(step + 1) * IN_A_STEP {
                tasks.push(runtime.spawn(request_in_tasks(TASKS + n)));
            }
        });
        let mut all: Vec<_> =
            tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
        all.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
        all
    });
    drop(elsewhere);
    other.join().unwrap();
    all.sort_by_key(|(trace, ..)| trace.to_bytes());
    all
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

pub(super) fn serve() {
    let settings = OtlpSettings::http(&variable("ENDPOINT"));
    let address = variable("METRICS").parse().unwrap();
    let telemetry = redspan::builder()
        .service_name("shop")
        .tail(tail::policy().slower_than(SLOW).ratio(0.01))
        .spans_to(OtlpSink::new(settings).unwrap())
        .metrics_at(address)
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .install()
        .unwrap();
    // Zeros first, as in a service's life.
    thread::sleep(Duration::from_secs(1));
    let (start, cpu) = (Instant::now(), cpu_by_thread());
    let traces = traffic();
    let took = start.elapsed();
    for (thread, seconds) in cpu_by_thread() {
        let seconds = seconds - cpu.get(&thread).copied().unwrap_or_default();
        if thread.starts_with("redspan") {
            println!("{thread}: {:.0} % of a core", 100.0 * seconds / took.as_secs_f64());
        }
    }
    until("done", || redspan::catalog().all(|site| site.red().in_flight() == 0));
    assert!(telemetry.flush(LONG));
    let stats = telemetry.spans();
    println!(
        "in {took:.1?}: {:.0} traces a second, {:.0} spans a second",
        traces.len() as f64 / took.as_secs_f64(),
        stats.sampled as f64 / took.as_secs_f64()
    );
    println!("the service says: {stats:?}");
    let spans: u64 = traces.iter().map(|(_, _, spans)| spans).sum();
    assert_eq!(stats.sampled, spans);
    assert_eq!(stats.sampled, stats.running + stats.pending + stats.exported + stats.dropped());
    assert_eq!((stats.running, stats.pending), (0, 0), "{stats:?}");
    assert_eq!(stats.dropped.keys().copied().collect::<Vec<_>>(), ["tail_not_kept"]);
    let mut list = String::new();
    for (trace, fate, spans) in traces {
        writeln!(list, "{trace} {} {spans}", fate as usize).unwrap();
    }
    std::fs::write(variable("LIST"), list).unwrap();
    // The page says the same, and Prometheus comes by once more.
    let page = page::get(address, "/metrics", LONG).unwrap();
    let dropped = stats.dropped["tail_not_kept"];
    let line = format!("{{error_type=\"tail_not_kept\"}} {dropped}");
    assert!(page.contains(&line), "{line} is not in:\n{page}");
    thread::sleep(Duration::from_secs(1));
    assert!(telemetry.shutdown(LONG));
    assert_eq!(telemetry.spans(), stats);
}

/// Reads what [`serve`] has listed.
pub(super) fn read(list: &Path) -> HashMap<String, (Fate, u64)> {
    let list = std::fs::read_to_string(list).unwrap();
    list.lines()
        .map(|line| {
            let [trace, fate, spans] = *line.split(' ').collect::<Vec<_>>() else {
                panic!("{line}");
            };
            let fate = FATES[fate.parse::<usize>().unwrap()];
            (trace.to_owned(), (fate, spans.parse().unwrap()))
        })
        .collect()
}

/// CPU seconds of this process's threads, by name, where the system tells.
fn cpu_by_thread() -> HashMap<String, f64> {
    let mut threads = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos: f64 = read("schedstat").split(' ').next().unwrap().parse().unwrap_or_default();
        *threads.entry(read("comm").trim().to_owned()).or_default() += nanos / 1e9;
    }
    threads
}

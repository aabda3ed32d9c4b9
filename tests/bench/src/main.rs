//! What a call costs: redspan and its peers side by side, each doing the same work.
//!
//! # How to run
//!
//! ```text
//! cd tests/bench
//! cargo run --release                            the table, in about two minutes
//! cargo run --release -- ratios                  the rows that the promised ratios are made of
//! cargo run --release -- table --rounds 9 --seconds 1 --only root
//! cargo run --release -- redspan-sampled-root --threads 4 --seconds 2
//! cargo run --release -- redspan-sampled-root --allocations
//! cargo run --release -- instructions            instructions a call, through valgrind
//! cargo run --release -- instructions --hold     fails where one is over its ceiling; CI runs it
//! cargo run --release -- render                  a page of ten thousand histograms
//! cargo run --release -- list                    all scenarios, and what is on in each
//! ```
//!
//! A scenario runs in a process of its own, since most peers can be installed only once, and prints
//! one line of `key=value` pairs. The table starts such processes, round by round (scenario after
//! scenario, then the next round), so that a machine which gets slower does so for everybody, and
//! shows medians. Compare rows of one table; never a row of today's with one of last week's.
//!
//! # How to read
//!
//! All numbers are for one call of one instrumented function.
//!
//! * **caller**: CPU nanoseconds on the calling thread (`CLOCK_THREAD_CPUTIME_ID`). What a request
//!   pays in latency.
//! * **process**: CPU nanoseconds of the whole process (`getrusage`): with the threads that convert
//!   and export. What the machine pays. It includes starting a burst and the peer's own flush at its
//!   end.
//! * **wall**: nanoseconds that pass in the calling thread during a burst. With more threads than
//!   free cores it says more about the machine than about the peer.
//! * **allocs**: calls into the allocator, on the calling thread; in brackets those of the whole
//!   process. Counted in a run of its own.
//! * **lost**: spans that were recorded and never reached the exporter, though no policy dropped them.
//! * **ratio**: caller CPU (of rows that export: process CPU) against that of the peer named in the
//!   row, with one and with four threads, from the same rounds. Below 1 is less than the peer.
//!
//! After the rows stand the ratios that are promised, computed from them: what each may be at most, and
//! whether it was held in this run. Those without a promise show the same against other forms of the peer.
//!
//! Spans are recorded in bursts of 2,000 calls a thread (500 of async ones);
//! between bursts the threads wait until everything has left. So no queue overflows, and nobody looks
//! fast by dropping its work; `lost` proves it. redspan's and the SDK's queues hold 65,536 spans and
//! send 512 at a time; fastrace's sizes are its own. A burst is hard on what grows with it: memory
//! that a peer gives back at a flush is bought again in the next burst.
//!
//! # What the work is
//!
//! A function that multiplies a number and returns `Result<u64, Declined>`. RED means: a count of
//! calls by outcome, a histogram of durations with 17 bounds, a gauge of calls in flight. redspan
//! always counts RED; peers do where the column says so, and redspan's ratios are taken to those.
//! A sampled span goes through the peer's own pipeline to an exporter that throws it away. What a
//! peer leaves out is said in its file (`src/scenario/`).
//!
//! The rows that export send OTLP over HTTP to a receiver that is a process of its own, and whose CPU is
//! not counted; a burst is over when it has answered for all of it.
//!
//! Each scenario's process is told to keep glibc from its AVX-512 text functions (`table.rs` says why): by
//! hand, set `GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512VL` to see what the table shows.
//!
//! # What is not compared
//!
//! * Encoding and sending, but for the rows that say so: elsewhere every exporter discards. gRPC,
//!   compression, TLS, a receiver that is slow or gone. The page of `/metrics`: `-- render`.
//! * Events in a call, propagation over the network.
//! * Peers' tail sampling: redspan's rows with a policy are taken to its own without one.
//! * autometrics' other backends, and its spans: it makes none.
//! * Cold caches: a burst hammers one function. A service's calls cost more, with any peer.
//! * A whole service: `cargo run --release -p service`. Build times: `-p compile`.

mod allocator;
#[path = "../service/src/control.rs"]
#[allow(dead_code, reason = "the services' rounds need more of it")]
mod control;
mod discard;
mod instructions;
mod measure;
mod ratios;
#[path = "../service/src/receiver.rs"]
mod receiver;
mod render;
mod scenario;
mod table;
mod work;

use measure::Load;
use scenario::{Group, Scenario};
use std::process::ExitCode;
use std::time::Duration;
use table::Rows;

/// What the command line says.
struct Options {
    what: String,
    threads: usize,
    seconds: f64,
    rounds: usize,
    only: String,
    allocations: bool,
    /// Makes this many calls under callgrind, instead of running for a while.
    calls: u64,
    /// Whether instructions over a ceiling are an error.
    hold: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            what: String::from("table"),
            threads: 1,
            seconds: 0.15,
            rounds: 3,
            only: String::new(),
            allocations: false,
            calls: 0,
            hold: false,
        };
        let mut named = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--threads" => options.threads = number(&value()?)?,
                "--seconds" => options.seconds = number(&value()?)?,
                "--rounds" => options.rounds = number(&value()?)?,
                "--only" => options.only = value()?,
                "--allocations" => options.allocations = true,
                "--hold" => options.hold = true,
                "--calls" => options.calls = number(&value()?)?,
                _ if !named && !argument.starts_with('-') => {
                    named = true;
                    options.what = argument;
                }
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        if options.threads == 0 || options.rounds == 0 || options.seconds <= 0.0 {
            return Err(String::from("--threads, --rounds and --seconds must be above zero"));
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits here"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, control] = &*arguments
        && what == "receive"
    {
        // Beside a scenario that exports.
        return match receiver::run(control) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let done = Options::read(arguments.into_iter()).and_then(|options| {
        match options.what.as_str() {
            "list" => list(),
            "table" => {
                table::print(options.rounds, options.seconds, Rows::Named(&options.only))?;
            }
            "ratios" => table::print(options.rounds, options.seconds, Rows::Promised)?,
            "render" => render::print()?,
            "instructions" => instructions::print(&options.only, options.hold)?,
            name => {
                let all = || scenario::all();
                let scenario = all().find(|scenario| scenario.name == name);
                let scenario = scenario.ok_or(format!("no scenario {name}; try `list`"))?;
                if let Some(package) = scenario.package {
                    return Err(format!(
                        "the program of package `{package}` runs it, from the table"
                    ));
                }
                println!("{}", run(scenario, &options));
            }
        }
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for group in Group::ALL {
        println!("{}", group.title());
        for scenario in scenario::all().filter(|scenario| scenario.group == group) {
            println!("  {:36} {}", scenario.name, scenario.says);
        }
    }
}

/// Calls a burst makes. With spans: fewer than redspan's buffer of a thread holds.
const WITH_SPANS: u64 = 2_000;
/// fastrace sends a command at every poll, and its queue of a thread holds 10,240.
const WITH_POLLS: u64 = 500;
/// Four threads' lines together are less than waits for a sink.
const WITH_LINES: u64 = 2_000;
const WITHOUT_SPANS: u64 = 50_000;

fn run(scenario: &Scenario, options: &Options) -> String {
    let running = (scenario.set_up)();
    if options.calls > 0 {
        return instructions::counted_run(scenario, &running, options.calls);
    }
    if options.allocations {
        allocator::start_counting();
    }
    let burst = match scenario.group {
        Group::LogLine => WITH_LINES,
        _ if !scenario.exports => WITHOUT_SPANS,
        Group::Async => WITH_POLLS,
        _ => WITH_SPANS,
    };
    let load = Load {
        threads: options.threads,
        duration: Duration::from_secs_f64(options.seconds),
        calls_a_burst: burst / scenario.deep,
        burst: running.burst,
        drain: &*running.drain,
    };
    let took = load.run();
    (running.drain)();

    let spans = match running.recorded {
        Some(recorded) => recorded(),
        None if scenario.exports => took.all_calls * scenario.deep,
        None => 0,
    };
    let arrived = (running.arrived)();
    assert!(arrived <= spans, "{arrived} spans arrived where {spans} were recorded");
    let line = took.line(scenario.name, options.threads, scenario.deep, options.allocations);
    line + &format!(" spans={spans} lost={}", spans - arrived)
}

//! Instructions a call on the calling thread: what a busy machine cannot blur.
//!
//! Each scenario runs under valgrind's callgrind, which counts between the beginning and the end of
//! one function, on the thread that runs it.

use crate::scenario::{self, Scenario};
use std::process::Command;

/// Calls that are counted; few, because callgrind is slow.
const CALLS: u64 = 1_000;

/// What stands between two drains, and is counted by its name.
#[inline(never)]
fn counted_burst(burst: fn(u64), turns: u64) {
    burst(std::hint::black_box(turns));
    // Not a tail call: this function must be seen to return.
    std::hint::black_box(());
}

/// The child's side.
pub(crate) fn counted_run(scenario: &Scenario, running: &scenario::Running, calls: u64) -> String {
    let turns = calls / scenario.deep;
    // Twice: a buffer and the memory that changes places with it have both grown then.
    for _ in 0..2 {
        (running.burst)(turns);
        (running.drain)();
    }
    counted_burst(running.burst, turns);
    (running.drain)();
    format!("scenario={} calls={calls}", scenario.name)
}

/// What a call may take at most: about a tenth more than it took when this was last set, on x86-64 with
/// glibc. Where valgrind shows no processor's counter, the clock is read in another way, which is dearer by
/// about a hundred instructions a call.
const CEILINGS: &[(&str, u64)] = &[
    ("redspan-metrics", 241),
    ("redspan-unsampled-nested", 350),
    ("redspan-unsampled-async", 440),
    ("redspan-unsampled-root", 1_090),
    ("redspan-sampled-root", 1_590),
    ("redspan-sampled-5-deep", 1_585),
    ("redspan-tail-root", 1_590),
    ("redspan-1-field", 2_075),
    ("redspan-4-fields", 2_530),
    ("redspan-error", 3_870),
    ("redspan-async-1", 1_785),
    ("redspan-async-10", 6_955),
    ("redspan-line", 4_045),
    ("redspan-init-line", 4_300),
    ("redspan-logger-line", 5_360),
    ("redspan-scope-line", 5_195),
];

/// Instructions a call of the scenarios whose name contains `only`; `hold` makes one over its ceiling
/// an error, and leaves out what has none.
pub(crate) fn print(only: &str, hold: bool) -> Result<(), String> {
    println!("| scenario | instructions a call | at most |");
    println!("|---|---|---|");
    let mut over = Vec::new();
    for scenario in scenario::all().filter(|scenario| scenario.name.contains(only)) {
        let ceiling = CEILINGS.iter().find(|(name, _)| *name == scenario.name).map(|it| it.1);
        if (hold && ceiling.is_none()) || scenario.package.is_some() {
            continue;
        }
        let taken = count(scenario.name)?;
        let most = ceiling.map(|most| most.to_string()).unwrap_or_default();
        println!("| {} | {taken} | {most} |", scenario.name);
        if ceiling.is_some_and(|most| taken > most) {
            over.push(scenario.name);
        }
    }
    match over.is_empty() || !hold {
        true => Ok(()),
        false => Err(format!("over the ceiling: {}", over.join(", "))),
    }
}

fn count(name: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=bench::instructions::counted_burst")
        .arg(program)
        .args([name, "--calls", &CALLS.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    match line.map(|(_, count)| count.trim().parse::<u64>()) {
        Some(Ok(count)) if output.status.success() && count > 0 => Ok(count / CALLS),
        _ => Err(format!("{name}: valgrind says\n{said}")),
    }
}

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

/// Instructions a call of the scenarios whose name contains `only`.
pub(crate) fn print(only: &str) -> Result<(), String> {
    println!("| scenario | instructions a call |");
    println!("|---|---|");
    for scenario in scenario::all().filter(|scenario| scenario.name.contains(only)) {
        println!("| {} | {} |", scenario.name, count(scenario.name)?);
    }
    Ok(())
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

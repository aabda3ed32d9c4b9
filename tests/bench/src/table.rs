//! The table: every scenario in fresh processes, round by round.

use crate::scenario::{self, Group, Scenario};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const THREADS: [usize; 2] = [1, 4];

/// What one process printed.
type Line = BTreeMap<String, String>;

/// All runs of a scenario.
#[derive(Default)]
struct Runs {
    timed: [Vec<Line>; THREADS.len()],
    counted: Line,
}

impl Runs {
    fn median(&self, threads: usize, key: &str) -> f64 {
        let mut values: Vec<f64> =
            self.timed[threads].iter().filter_map(|line| value(line, key)).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => values[n / 2],
            n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
        }
    }

    fn total(&self, key: &str) -> f64 {
        self.timed.iter().flatten().filter_map(|line| value(line, key)).sum()
    }
}

fn value(line: &Line, key: &str) -> Option<f64> {
    line.get(key)?.parse().ok()
}

/// Runs the scenarios whose name contains `only`, with those they are compared to.
pub(crate) fn print(rounds: usize, seconds: f64, only: &str) -> Result<(), String> {
    let named = |scenario: &&Scenario| scenario.name.contains(only);
    let peers: Vec<_> = scenario::all().filter(named).filter_map(|it| it.against).collect();
    let chosen: Vec<_> =
        scenario::all().filter(|it| named(it) || peers.contains(&it.name)).collect();
    if chosen.is_empty() {
        return Err(format!("no scenario's name contains {only}; try `list`"));
    }
    let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
    for round in 0..rounds {
        for scenario in &chosen {
            eprint!("\r{}/{rounds} {:40}", round + 1, scenario.name);
            let of = runs.entry(scenario.name).or_default();
            for (index, threads) in THREADS.into_iter().enumerate() {
                let threads = threads.to_string();
                let seconds = seconds.to_string();
                of.timed[index].push(child(&[
                    scenario.name,
                    "--threads",
                    &threads,
                    "--seconds",
                    &seconds,
                ])?);
            }
            if round == 0 {
                of.counted = child(&[scenario.name, "--allocations", "--seconds", "0.05"])?;
            }
        }
    }
    eprintln!("\r{:50}", "");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "CPU ns a call, medians of {rounds} rounds of {seconds} s, one / four threads, {cores} \
         cores{}.\n",
        load_average().map(|load| format!(", load average {load}")).unwrap_or_default(),
    );
    for group in Group::ALL {
        let rows: Vec<_> = chosen.iter().filter(|it| it.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        println!("**{}**\n", group.title());
        println!("| scenario | RED | caller | process | wall | allocs | lost | ratio |");
        println!("|---|---|---|---|---|---|---|---|");
        for scenario in rows {
            println!("{}", row(scenario, &runs));
        }
        println!();
    }
    Ok(())
}

fn row(scenario: &Scenario, runs: &BTreeMap<&str, Runs>) -> String {
    let of = &runs[scenario.name];
    // A level that is off is told in parts of a nanosecond.
    let short = |ns: f64| if ns < 10.0 { format!("{ns:.2}") } else { format!("{ns:.0}") };
    let pair = |key| format!("{} / {}", short(of.median(0, key)), short(of.median(1, key)));
    let counted = |key| value(&of.counted, key).unwrap_or(f64::NAN);
    let lost = match (of.total("lost"), of.total("spans")) {
        (_, 0.0) => String::from("–"),
        (0.0, _) => String::from("0"),
        (lost, spans) => format!("{:.2} %", lost / spans * 100.0),
    };
    // A peer that runs for another row's sake runs without a peer of its own.
    let ratio = match scenario.against.and_then(|peer| Some((peer, runs.get(peer)?))) {
        Some((peer, peer_runs)) => {
            let ratio =
                |index| of.median(index, "caller_ns") / peer_runs.median(index, "caller_ns");
            format!("{:.2} / {:.2} of {peer}", ratio(0), ratio(1))
        }
        None => String::new(),
    };
    format!(
        "| {} | {} | {} | {} | {} | {:.2} ({:.2}) | {lost} | {ratio} |",
        scenario.name,
        if scenario.red { "yes" } else { "" },
        pair("caller_ns"),
        pair("process_ns"),
        pair("wall_ns"),
        counted("allocations"),
        counted("process_allocations"),
    )
}

/// Runs this program once more, without whatever the environment says of telemetry.
fn child(arguments: &[&str]) -> Result<Line, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // redspan says what is in effect before that.
    let line = text.lines().rev().find(|line| line.starts_with("scenario="));
    let Some(line) = line.filter(|_| output.status.success()) else {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{arguments:?} failed: {}\n{said}", output.status));
    };
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next().map(str::to_owned)
}

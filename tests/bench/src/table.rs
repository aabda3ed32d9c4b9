//! The table: every scenario in fresh processes, round by round.

use crate::ratios::{self, Ratio};
use crate::scenario::{self, Group, Scenario};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// With glibc's AVX-512 form of `memcmp` autometrics took 800 ns in place of 265 on the machine where this was
/// written, two thirds of them in that function (perhaps for empty texts, whose addresses are nowhere). It is no
/// fault of its own, so all rows run without.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512VL");

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

/// Which rows a table has.
pub(crate) enum Rows<'a> {
    /// Those whose name contains it, with those they are compared to.
    Named(&'a str),
    /// Those that the promised ratios are made of.
    Promised,
}

/// Runs the scenarios, and prints the table and the promised ratios of it.
pub(crate) fn print(rounds: usize, seconds: f64, wanted: Rows<'_>) -> Result<(), String> {
    let named = |scenario: &&Scenario| match wanted {
        Rows::Named(only) => scenario.name.contains(only),
        Rows::Promised => ratios::ALL.iter().flat_map(Ratio::rows).any(|row| row == scenario.name),
    };
    let peers: Vec<_> = scenario::all().filter(named).filter_map(|it| it.against).collect();
    let chosen: Vec<_> =
        scenario::all().filter(|it| named(it) || peers.contains(&it.name)).collect();
    if chosen.is_empty() {
        return Err(String::from("no scenario's name contains that; try `list`"));
    }
    for package in chosen.iter().filter_map(|scenario| scenario.package) {
        build(package)?;
    }
    let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
    for round in 0..rounds {
        for scenario in &chosen {
            eprint!("\r{}/{rounds} {:40}", round + 1, scenario.name);
            let of = runs.entry(scenario.name).or_default();
            for (index, threads) in THREADS.into_iter().enumerate() {
                let threads = threads.to_string();
                let seconds = seconds.to_string();
                of.timed[index].push(child(
                    scenario,
                    &[scenario.name, "--threads", &threads, "--seconds", &seconds],
                )?);
            }
            if round == 0 {
                of.counted =
                    child(scenario, &[scenario.name, "--allocations", "--seconds", "0.05"])?;
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
    let median = |name: &str, index, key: &str| runs[name].median(index, key);
    ratios::print(|name| runs.contains_key(name), median);
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
            let key = if scenario.group == Group::Exporting { "process_ns" } else { "caller_ns" };
            let ratio = |index| of.median(index, key) / peer_runs.median(index, key);
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

/// Builds a package of this workspace, its program beside this one.
fn build(package: &str) -> Result<(), String> {
    let target = program()?.ancestors().nth(2).map(PathBuf::from);
    let target = target.ok_or("this program is not in a target folder")?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path", manifest, "-p", package])
        .arg("--target-dir")
        .arg(target)
        .status()
        .map_err(|error| error.to_string())?;
    built.success().then_some(()).ok_or(format!("{package} could not be built"))
}

fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

/// Runs a scenario in a process of its own, without whatever the environment says of telemetry.
fn child(scenario: &Scenario, arguments: &[&str]) -> Result<Line, String> {
    let mut program = program()?;
    if let Some(package) = scenario.package {
        program.set_file_name(package);
    }
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::piped());
    if std::env::var_os(TUNABLES.0).is_none() {
        command.env(TUNABLES.0, TUNABLES.1);
    }
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

//! What annotated functions cost at compile time: redspan and its peers beside the bare functions.
//!
//! # How to run
//!
//! ```text
//! cd tests/bench
//! cargo run --release -p compile                       the table, in about five minutes
//! cargo run --release -p compile -- --rounds 1 --functions 200 --only redspan
//! ```
//!
//! It writes one crate a peer under `target/compile-cost`, with the same functions, builds what they
//! depend on, and then compiles the crates themselves, round by round (peer after peer, then the next
//! round), so that a machine which gets slower does so for everybody. Compare rows of one table.
//!
//! # How to read
//!
//! * **check, debug, release**: CPU seconds of the one `rustc` that compiles the crate, threads and
//!   all (`getrusage`), and what that is beside the bare crate of the same round: the median ratio.
//!   Incremental compilation is off.
//! * **LLVM lines**: lines of LLVM IR a function as the compiler hands them over in a debug build, and
//!   how many of those the attribute adds.
//! * **text**: bytes of machine code a function in a release build of one unit, and how many of those
//!   the attribute adds.
//!
//! # What the functions are
//!
//! Ten shapes in equal parts (`src/functions.rs`): free functions and methods, five sync and five
//! async, six that return a `Result`, two with fields; bodies of four to eight lines. Half of what
//! a short body costs can be the attribute: bigger bodies bring every ratio down.
//!
//! Peers do what they do. redspan writes span and RED; `tracing::instrument(err, skip_all)` and
//! fastrace a span without numbers, fastrace without the error; autometrics numbers without a span.

mod functions;
mod machine_code;
mod peers;
mod rustc;

use peers::Peer;
use rustc::{Build, Crates};
use std::process::ExitCode;

struct Options {
    functions: usize,
    rounds: usize,
    only: String,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options { functions: 1_000, rounds: 5, only: String::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--functions" => options.functions = number(&value()?)?,
                "--rounds" => options.rounds = number(&value()?)?,
                "--only" => options.only = value()?,
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or(format!("{text} is not a number above zero"))
}

fn main() -> ExitCode {
    if let Some(code) = rustc::as_wrapper() {
        return code;
    }
    let done = Options::read(std::env::args().skip(1)).and_then(|options| table(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("compile: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What one crate cost.
#[derive(Default)]
struct Row {
    /// CPU seconds by kind of build, a value a round.
    seconds: [Vec<f64>; Build::TIMED.len()],
    lines: f64,
    text: f64,
}

fn table(options: &Options) -> Result<(), String> {
    let peers: Vec<&Peer> = peers::ALL
        .iter()
        .filter(|peer| peer.name == "bare" || peer.name.contains(&options.only))
        .collect();
    let crates = Crates::write(&peers, options.functions)?;
    let mut rows: Vec<Row> = peers.iter().map(|_| Row::default()).collect();
    for (row, peer) in rows.iter_mut().zip(&peers) {
        eprintln!("{}: what it depends on", peer.name);
        for build in Build::TIMED {
            crates.compile(peer, build)?;
        }
        let a_function = |total: usize| total as f64 / options.functions as f64;
        row.lines = a_function(crates.llvm_lines(peer)?);
        row.text = a_function(crates.text_bytes(peer)?);
    }
    for round in 1..=options.rounds {
        for (index, build) in Build::TIMED.into_iter().enumerate() {
            eprintln!("round {round} of {}: {}", options.rounds, build.name());
            for (row, peer) in rows.iter_mut().zip(&peers) {
                row.seconds[index].push(crates.compile(peer, build)?);
            }
        }
    }
    println!("{} functions, {} rounds, medians", options.functions, options.rounds);
    println!();
    println!("| crate | check | debug | release | LLVM lines (added) | text bytes (added) |");
    println!("|---|---|---|---|---|---|");
    let Some(bare) = rows.first() else { return Ok(()) };
    for (row, peer) in rows.iter().zip(&peers) {
        let seconds = row.seconds.iter().zip(&bare.seconds).map(|(took, bare)| {
            let ratios = took.iter().zip(bare).map(|(took, bare)| took / bare).collect();
            format!("{:.2} s, {:.2} ×", median(took.clone()), median(ratios))
        });
        let [check, debug, release] = <[String; 3]>::try_from(seconds.collect::<Vec<_>>())
            .map_err(|_| String::from("three kinds of builds"))?;
        println!(
            "| {} | {check} | {debug} | {release} | {:.0} ({:+.0}) | {:.0} ({:+.0}) |",
            peer.title,
            row.lines,
            row.lines - bare.lines,
            row.text,
            row.text - bare.text,
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

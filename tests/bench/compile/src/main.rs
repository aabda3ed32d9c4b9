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
//! Where a machine is quiet for a minute or two at most, a part at a time:
//!
//! ```text
//! cargo run --release -p compile -- --part code        what they depend on, LLVM lines and text
//! cargo run --release -p compile -- --part check       a round of it; again for the next one
//! cargo run --release -p compile -- --part debug
//! cargo run --release -p compile -- --part release
//! cargo run --release -p compile -- --part none        the table of all rounds since `code`
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
mod kept;
mod machine_code;
mod peers;
mod rustc;

use kept::Kept;
use peers::Peer;
use rustc::{Build, Crates};
use std::process::ExitCode;

struct Options {
    functions: usize,
    rounds: usize,
    only: String,
    part: Option<Part>,
}

/// What is measured at a time.
#[derive(Clone, Copy)]
enum Part {
    /// What does not depend on the machine's mood.
    Code,
    Build(Build),
    None,
}

impl Part {
    fn read(text: &str) -> Result<Self, String> {
        let build = Build::TIMED.into_iter().find(|build| build.name() == text);
        match (text, build) {
            ("code", _) => Ok(Part::Code),
            ("none", _) => Ok(Part::None),
            (_, Some(build)) => Ok(Part::Build(build)),
            _ => Err(format!("{text} is not code, check, debug, release or none")),
        }
    }
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options { functions: 1_000, rounds: 5, only: String::new(), part: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--functions" => options.functions = number(&value()?)?,
                "--rounds" => options.rounds = number(&value()?)?,
                "--only" => options.only = value()?,
                "--part" => options.part = Some(Part::read(&value()?)?),
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

fn table(options: &Options) -> Result<(), String> {
    let peers: Vec<&Peer> = peers::ALL
        .iter()
        .filter(|peer| peer.name == "bare" || peer.name.contains(&options.only))
        .collect();
    let crates = Crates::write(&peers, options.functions)?;
    let file = crates.folder().join(format!("kept-{}", options.functions));
    let mut kept = match options.part {
        None | Some(Part::Code) => Kept::default(),
        Some(_) => Kept::read(&file)?,
    };
    if let None | Some(Part::Code) = options.part {
        code(&crates, &peers, options, &mut kept)?;
    }
    match options.part {
        None => {
            for number in 1..=options.rounds {
                eprintln!("round {number} of {}", options.rounds);
                for build in Build::TIMED {
                    round(&crates, &peers, build, &mut kept)?;
                }
            }
        }
        Some(Part::Build(build)) => round(&crates, &peers, build, &mut kept)?,
        Some(Part::Code | Part::None) => {}
    }
    kept.write(&file)?;
    print(&peers, options, &kept);
    Ok(())
}

/// What the crates depend on, and what the compiler makes of them.
fn code(
    crates: &Crates,
    peers: &[&Peer],
    options: &Options,
    kept: &mut Kept,
) -> Result<(), String> {
    for peer in peers {
        eprintln!("{}: what it depends on", peer.name);
        for build in Build::TIMED {
            crates.compile(peer, build)?;
        }
        let a_function = |total: usize| total as f64 / options.functions as f64;
        kept.add(peer.name, "lines", a_function(crates.llvm_lines(peer)?));
        kept.add(peer.name, "text", a_function(crates.text_bytes(peer)?));
    }
    Ok(())
}

fn round(crates: &Crates, peers: &[&Peer], build: Build, kept: &mut Kept) -> Result<(), String> {
    eprintln!("{}", build.name());
    for peer in peers {
        kept.add(peer.name, build.name(), crates.compile(peer, build)?);
    }
    Ok(())
}

fn print(peers: &[&Peer], options: &Options, kept: &Kept) {
    let rounds = Build::TIMED.map(|build| kept.of("bare", build.name()).len());
    let [check, debug, release] = rounds;
    println!(
        "{} functions; rounds: check {check}, debug {debug}, release {release}; medians",
        options.functions
    );
    println!();
    println!("| crate | check | debug | release | LLVM lines (added) | text bytes (added) |");
    println!("|---|---|---|---|---|---|");
    for peer in peers {
        let [check, debug, release] = Build::TIMED.map(|build| {
            let took = kept.of(peer.name, build.name());
            let bare = kept.of("bare", build.name());
            let ratios = took.iter().zip(bare).map(|(took, bare)| took / bare).collect();
            format!("{:.2} s, {:.2} ×", median(took.to_vec()), median(ratios))
        });
        let size = |what| {
            let of = |name| kept.of(name, what).last().copied().unwrap_or_default();
            format!("{:.0} ({:+.0})", of(peer.name), of(peer.name) - of("bare"))
        };
        let (lines, text) = (size("lines"), size("text"));
        println!("| {} | {check} | {debug} | {release} | {lines} | {text} |", peer.title);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

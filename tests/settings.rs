//! Every variable: unset, set, bad, and overridden by the program, with the effect seen where it matters:
//! at the receiver, on the page, on stdout.
//!
//! Each state of each variable is a process of its own. What it does is always the same; what a row of
//! the table looks at differs.

#[path = "settings/probe.rs"]
mod probe;
#[path = "settings/seen.rs"]
mod seen;
#[path = "settings/table.rs"]
mod table;

use probe::State;
use redspan_tests::process::is_alone;
use seen::Seen;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

const TEST: &str = "every_variable_has_its_effect_unset_set_bad_and_overridden";

#[test]
fn every_variable_has_its_effect_unset_set_bad_and_overridden() {
    let rows = table::rows();
    if is_alone(TEST) {
        return probe::run(&rows);
    }
    let next = AtomicUsize::new(0);
    // Each is mostly waiting.
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    let mut wrong = Vec::new();
                    while let Some(row) = rows.get(next.fetch_add(1, Relaxed)) {
                        wrong.extend(check(row));
                    }
                    wrong
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    println!("{} rows", rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a text names, `OTEL_{A,B}_C` being two.
fn names(text: &str) -> BTreeSet<String> {
    fn expand(name: &str, all: &mut BTreeSet<String>) {
        let Some((before, rest)) = name.split_once('{') else {
            all.insert(name.to_owned());
            return;
        };
        let (words, after) = rest.split_once('}').expect("a brace is closed");
        words.split(',').for_each(|word| expand(&format!("{before}{word}{after}"), all));
    }
    let mut all = BTreeSet::new();
    for start in ["OTEL_", "RUST_LOG"] {
        for (at, _) in text.match_indices(start) {
            let of_a_name = |it: char| it.is_ascii_uppercase() || "_{,}".contains(it);
            let name = text[at..].split(|it| !of_a_name(it)).next().unwrap_or_default();
            expand(name.trim_end_matches(','), &mut all);
        }
    }
    all
}

#[test]
fn every_variable_that_is_documented_or_read_has_a_row() {
    let rows = table::rows();
    let have: BTreeSet<_> = rows.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(names(include_str!("../README.md")), have, "the README and the rows");
    // Those for one signal are put together there.
    let put_together = "OTEL_EXPORTER_OTLP_";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/config");
    let mut read = BTreeSet::new();
    for source in fs::read_dir(sources).expect("the sources") {
        let path = source.expect("a file").path();
        let text = fs::read_to_string(path).unwrap_or_default();
        let quoted = text.split('"').skip(1).step_by(2);
        read.extend(quoted.filter(|it| it.starts_with("OTEL_")).flat_map(names));
    }
    read.remove(put_together);
    assert!(read.len() > 30 && read.is_subset(&have), "{:?}", read.difference(&have));
    // Every text names a service.
    for name in have.iter().filter(|name| *name != "OTEL_SERVICE_NAME") {
        let bad = rows.iter().any(|row| row.name == name && row.bad.is_some());
        assert!(bad, "no row says what is bad for {name}");
    }
}

fn check(row: &table::Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let see = |wrong: &mut Vec<String>, state: State, expected: &str| {
        let mut seen = Seen::of(TEST, row, state);
        // Some rows wait for what happens in its own time: a busy machine may be late for it.
        for _ in 0..3 {
            if (row.look)(&seen) == expected {
                break;
            }
            seen = Seen::of(TEST, row, state);
        }
        let is = (row.look)(&seen);
        if is != expected {
            wrong
                .push(format!("{} {state:?}: {is:?} and not {expected:?}\n{}", row.name, seen.out));
        }
        seen
    };
    let seen = see(&mut wrong, State::Unset, row.unset);
    let quiet = seen.is_quiet();
    see(&mut wrong, State::Set, row.good.1);
    if let Some(bad) = row.bad {
        let seen = see(&mut wrong, State::Bad, row.unset);
        // The value is named too, unless it may be a secret.
        let secret = row.name.ends_with("HEADERS") || bad.starts_with('{');
        let told = seen.warnings(row.name);
        if told.len() != 1 || !(secret || told[0].contains(bad)) {
            wrong.push(format!("{}={bad}: told {told:?}", row.name));
        }
    }
    see(&mut wrong, State::Overridden, row.over.1);
    // Of a certificate and its key, the one without the other is told.
    if !quiet && !row.name.contains("_CLIENT_") {
        wrong.push(format!("{}: a warning although it is not set", row.name));
    }
    wrong
}

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
        let workers: Vec<_> = (0..8)
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
    let quiet = !seen.out.contains("is ignored and the default holds");
    see(&mut wrong, State::Set, row.good.1);
    if let Some(bad) = row.bad {
        let seen = see(&mut wrong, State::Bad, row.unset);
        // The value is named too, unless it may be a secret.
        let told = seen.warning(row.name);
        let shown = row.name.ends_with("HEADERS") || bad.starts_with('{') || told.contains(bad);
        let times = seen.out.matches("is ignored and the default holds").count();
        if !shown || times != 1 || !told.contains("expected") {
            wrong.push(format!("{}={bad}: told {times} times: {told:?}", row.name));
        }
    }
    if let Some((_, expected)) = row.over {
        see(&mut wrong, State::Overridden, expected);
    }
    // Of a certificate and its key, the one without the other is told.
    if !quiet && !row.name.contains("_CLIENT_") {
        wrong.push(format!("{}: a warning although it is not set", row.name));
    }
    wrong
}

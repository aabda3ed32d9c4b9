//! Imports between the rooms of the runtime go one way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. A room may import the rooms above it in this list, and those beside it on its
/// own line.
const FLOORS: &[&[&str]] = &[
    &[
        "outcome",
        "error_type",
        "exemplar",
        "sharded",
        "clock",
        "ahead",
        "home",
        "label",
        "quiet",
        "protobuf",
        "watch",
        "spares",
    ],
    &["red"],
    &["service", "slo"],
    &["callsite", "catalog", "config", "redact"],
    &["otlp", "in_flight", "callers"],
    &["context", "sample"],
    &["metrics"],
    &["log", "span"],
    &["call", "expose"],
    &["bridge", "integrations"],
    &["provider"],
    &["testing", "prelude", "guide", "compat", "__private", "macros", "lib"],
];

/// Integrations never import each other, except where one builds on another by design.
const BUILDS_ON: &[(&str, &str)] = &[("axum", "tower")];

fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a file imports, comments and tests left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut rooms = Vec::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            rooms.push(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    rooms
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src");
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |&room| (room, floor)))
        .collect();
    let mut files = Vec::new();
    sources(&source, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let within = file.strip_prefix(&source).unwrap();
        let first = within.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        let is_test = within.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part == "tests" || part == "tests.rs"
        });
        if is_test {
            continue;
        }
        let Some(&own) = floor.get(room) else {
            wrong.push(format!("{room} has no floor: give it one in this test"));
            continue;
        };
        for other in imports(&fs::read_to_string(file).unwrap()) {
            // Re-exports at the root, such as `crate::tower`, name their room.
            let module = within.file_stem().unwrap().to_string_lossy();
            if ["tower", "axum", "reqwest"].contains(&other.as_str()) {
                if room == "integrations" && !BUILDS_ON.contains(&(&*module, &*other)) {
                    wrong.push(format!("{} imports {other}", within.display()));
                }
            } else if floor.get(other.as_str()).is_some_and(|&floor| floor > own) {
                wrong.push(format!("{} imports {other}", within.display()));
            }
        }
    }
    assert!(files.len() > 40, "the sources moved: {}", source.display());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! The attribute is not seen in what the compiler and clippy say: annotated functions have no warning that
//! the bare ones do not have, and every one that they do.
//!
//! Features and lints are those of a user's crate, so the fixtures stand in a workspace of their own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const PEDANTIC: &str = include_str!("lints/pedantic.rs");
const WARNED: &str = include_str!("lints/warned.rs");

/// Lints that are silent about what any attribute macro has written: clippy leaves such functions alone
/// where it would ask for another signature, a body in a closure does not recurse for rustc, and what a
/// parameter is to its body is not seen where the two are apart. That an `async fn` waits for nothing, and what
/// it returns, is not seen in a function that returns a future. The attribute's docs name them.
const UNAVOIDABLE: &[&str] = &[
    "clippy::boxed_local",
    "clippy::manual_async_fn",
    "clippy::many_single_char_names",
    "clippy::missing_errors_doc",
    "clippy::needless_lifetimes",
    "clippy::needless_pass_by_value",
    "clippy::only_used_in_recursion",
    "clippy::ptr_arg",
    "clippy::toplevel_ref_arg",
    "clippy::unnecessary_wraps",
    "clippy::unused_async",
    "unconditional_recursion",
];

/// Builds a package in a workspace of their own and returns its warnings and errors, as
/// `line:column lint: message`.
fn clippy(name: &str, source: &str, main: bool) -> io::Result<BTreeSet<String>> {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime").canonicalize()?;
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lints");
    let package = root.join(name);
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\nredspan = {{ path = {runtime:?}, default-features = false, \
             features = [\"instrument\"] }}\n"
        ),
    )?;
    fs::write(package.join(if main { "src/main.rs" } else { "src/lib.rs" }), source)?;
    // The same versions as the workspace, so that nothing has to be resolved or fetched anew.
    fs::copy(runtime.join("../Cargo.lock"), package.join("Cargo.lock"))?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["clippy", "--quiet", "--offline", "--message-format=json"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()?;
    let mut found = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let said: serde_json::Value = serde_json::from_str(line).map_err(io::Error::other)?;
        let ours = said["target"]["name"].as_str().is_some_and(|target| target == name);
        if said["reason"] != "compiler-message" || !ours {
            continue;
        }
        let message = &said["message"];
        let spans = message["spans"].as_array().into_iter().flatten();
        let place = spans
            .clone()
            .find(|span| span["is_primary"] == true)
            .map(|span| (span["line_start"].clone(), span["column_start"].clone()));
        let Some((line, column)) = place else { continue };
        let lint = message["code"]["code"].as_str().unwrap_or("error");
        found.insert(format!("{line}:{column} {lint}: {}", message["message"]));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || !found.is_empty(), "{name}: {errors}");
    Ok(found)
}

#[test]
fn fifty_annotated_functions_have_no_pedantic_warning() -> io::Result<()> {
    let functions = PEDANTIC.matches("#[instrumented").count();
    assert!(functions >= 50, "{functions} attributes");
    assert_eq!(clippy("pedantic", PEDANTIC, true)?, BTreeSet::new());
    Ok(())
}

#[test]
fn what_the_bare_function_is_warned_of_stays() -> io::Result<()> {
    let with = |attribute: &str| WARNED.replace("ATTRIBUTE", attribute);
    let bare = clippy("warned", &with(""), false)?;
    let ours = clippy("warned", &with("#[redspan::instrumented]"), false)?;
    for lint in [
        "unused_variables",
        "unused_mut",
        "unused_assignments",
        "unused_must_use",
        "unused_imports",
        "dead_code",
        "unreachable_code",
        "unreachable_patterns",
        "deprecated",
        "clippy::too_many_arguments",
    ] {
        assert!(ours.iter().any(|line| line.contains(&format!(" {lint}: "))), "{lint}: {ours:#?}");
    }
    let lost: Vec<_> = bare.difference(&ours).collect();
    let of = |line: &str| UNAVOIDABLE.iter().position(|it| line.contains(&format!(" {it}: ")));
    let more: Vec<_> = lost.iter().filter(|line| of(line).is_none()).collect();
    let new: Vec<_> = ours.difference(&bare).collect();
    assert!(more.is_empty() && new.is_empty(), "lost: {more:#?}\nnew: {new:#?}");
    let silent: BTreeSet<_> = lost.iter().filter_map(|line| of(line)).collect();
    assert_eq!(silent.len(), UNAVOIDABLE.len(), "the list is longer than what is lost: {lost:#?}");
    Ok(())
}

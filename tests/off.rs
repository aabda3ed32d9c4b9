//! Off means gone: without the feature, an annotated crate is the bare one, to the instruction.
//!
//! Features unify in a workspace, so the two crates stand in one of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const BODIES: &str = r#"
#![allow(unused_parens)]

use std::future::Future;
use std::pin::Pin;

ATTRIBUTE
pub fn sum(items: &[u64], by: u64) -> u64 {
    items.iter().map(|item| item * by).sum()
}

ATTRIBUTE
pub fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
    let number: u64 = text.trim().parse()?;
    Ok(number + 1)
}

ATTRIBUTE
pub async fn later(id: u64) -> Result<String, std::fmt::Error> {
    if std::future::ready(id).await == 0 {
        return Err(std::fmt::Error);
    }
    Ok(id.to_string())
}

ATTRIBUTE
pub fn boxed(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { id + 1 })
}

ATTRIBUTE
#[inline(never)]
#[track_caller]
pub fn first(items: &[u8]) -> u8 {
    items[0]
}

pub struct Store(pub Vec<u64>);

impl Store {
    ATTRIBUTE
    pub fn find(&self, id: u64) -> Option<u64> {
        self.0.iter().copied().find(|row| *row == id)
    }
}

impl Drop for Store {
    ATTRIBUTE
    fn drop(&mut self) {
        self.0.clear();
    }
}

pub async fn expressions(ids: Vec<u64>) -> u64 {
    let last = MEASURED async { later(1).await.map_or(0, |text| text.len() as u64) });
    let sum: u64 = ids.iter().map(MEASURED |id: &u64| id + 1)).sum();
    last.await + sum
}

#[inline(never)]
pub fn borrowed(rows: &mut [u64]) -> &mut [u64] {
    MEASURED { rows.reverse(); &mut rows[..] })
}

pub fn drive(context: &mut std::task::Context<'_>) -> bool {
    std::pin::pin!(later(1)).poll(context).is_ready()
}
"#;

/// The assembly of a crate `fixture` with this attribute on its functions, and this in front of its
/// expressions, line for line.
fn assembly(root: &Path, name: &str, attribute: &str, measured: &str) -> io::Result<Vec<String>> {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime").canonicalize()?;
    let package = root.join(name);
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        format!(
            "[package]\nname = \"fixture\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [workspace]\n\n[dependencies]\n\
             redspan = {{ path = {runtime:?}, default-features = false }}\n\n\
             [profile.release.package.\"*\"]\nopt-level = 0\n"
        ),
    )?;
    fs::write(
        package.join("src/lib.rs"),
        BODIES.replace("ATTRIBUTE", attribute).replace("MEASURED", measured),
    )?;
    fs::copy(runtime.join("../Cargo.lock"), package.join("Cargo.lock"))?;
    let target = root.join("target");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["rustc", "--quiet", "--offline", "--release", "--", "--emit=asm"])
        .args(["-Ccodegen-units=1", "-Cmetadata=same"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()?;
    assert!(status.success(), "{name} does not compile");
    let mut found: Vec<PathBuf> = Vec::new();
    for file in fs::read_dir(target.join("release/deps"))? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("fixture") && name.ends_with(".s") {
            found.push(path);
        }
    }
    let [file] = &found[..] else { panic!("{} files of assembly", found.len()) };
    let text = fs::read_to_string(file)?;
    fs::remove_file(file)?;
    Ok(text.lines().filter(|line| !line.trim_start().starts_with(".file")).map(unhashed).collect())
}

/// Symbols carry a hash of the package's place: the only thing in which the two may differ.
fn unhashed(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("17h") {
        let hash = rest.get(at + 3..at + 19);
        let is_hash = hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        plain += &rest[..at + 3];
        rest = &rest[at + 3 + if is_hash { 16 } else { 0 }..];
    }
    plain + rest
}

#[test]
fn the_assembly_is_that_of_the_bare_crate() -> io::Result<()> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("off");
    let bare = assembly(&root, "bare", "", "(")?;
    for (name, attribute) in [
        ("plain", "#[redspan::instrumented]"),
        ("optioned", "#[redspan::instrumented(name = \"x\", nonsense, fields(who = knows()))]"),
    ] {
        let ours = assembly(&root, name, attribute, "redspan::measured!(\"fill\", nonsense, ")?;
        let differs = bare.iter().zip(&ours).position(|(bare, ours)| bare != ours);
        let shown = differs.map(|at| (&bare[at], &ours[at]));
        assert!(bare.len() > 100, "there is assembly to compare");
        assert_eq!((shown, ours.len()), (None, bare.len()), "{name}");
    }
    Ok(())
}

//! trybuild compiles its cases in this crate's edition, so the accepted programs of
//! `ui/*/pass` are compiled and run once more as a package of edition 2021.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

#[test]
fn accepted_programs_behave_the_same_in_edition_2021() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("..").canonicalize()?;
    let package = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("edition2021");
    fs::create_dir_all(package.join("src"))?;

    let mut manifest = format!(
        "[package]\nname = \"redspan-edition2021\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
         publish = false\nautobins = false\n\n[workspace]\n\n[dependencies]\n\
         redspan = {{ path = {:?}, default-features = false, features = [\"instrument\"] }}\n\
         tokio = {{ version = \"1\", features = [\"full\"] }}\ntracing = \"0.1\"\n",
        root.join("runtime")
    );
    let mut names = Vec::new();
    for about in fs::read_dir(here.join("ui"))? {
        let about = about?;
        for case in fs::read_dir(about.path().join("pass"))? {
            let case = case?.path();
            let Some(name) = case.file_stem().and_then(|name| name.to_str()) else { continue };
            // A case of another macro may have the same name.
            let name = format!("{}-{name}", about.file_name().display());
            let _ = write!(manifest, "\n[[bin]]\nname = {name:?}\npath = {case:?}\n");
            names.push(name);
        }
    }
    fs::write(package.join("Cargo.toml"), manifest)?;
    // The same versions as the workspace, so that nothing has to be resolved or fetched anew.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))?;

    let target = package.join("target");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "--bins"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &target)
        .status()?;
    assert!(status.success(), "an accepted program does not compile in edition 2021");
    assert!(!names.is_empty(), "no programs were found");
    for name in names {
        let status = Command::new(target.join("debug").join(&name)).status()?;
        assert!(status.success(), "{name} fails in edition 2021");
    }
    Ok(())
}

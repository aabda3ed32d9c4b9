//! Writes the crates, compiles them through cargo, and reads what that took and gave.

use crate::functions;
use crate::machine_code;
use crate::peers::Peer;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

/// Where the wrapper writes what a `rustc` took.
const LOG: &str = "REDSPAN_COMPILE_COST_LOG";

/// Kinds of builds.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    Check,
    Debug,
    Release,
}

impl Build {
    pub(crate) const TIMED: [Build; 3] = [Build::Check, Build::Debug, Build::Release];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Build::Check => "check",
            Build::Debug => "debug",
            Build::Release => "release",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Build::Check => &["check"],
            Build::Debug => &["build"],
            Build::Release => &["build", "--release"],
        }
    }
}

/// The written crates.
pub(crate) struct Crates {
    root: PathBuf,
}

impl Crates {
    pub(crate) fn write(peers: &[&Peer], functions: usize) -> Result<Self, String> {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = env::var_os("CARGO_TARGET_DIR").map_or(bench.join("target"), PathBuf::from);
        let root = target.join("compile-cost");
        let crates = Crates { root };
        let written = || -> io::Result<()> {
            let runtime = bench.join("../../runtime").canonicalize()?;
            let mut members = String::new();
            for peer in peers {
                members += &format!("{:?}, ", peer.name);
                let folder = crates.root.join(peer.name);
                fs::create_dir_all(folder.join("src"))?;
                let dependencies =
                    peer.dependencies.replace("{redspan}", &runtime.display().to_string());
                let manifest = format!(
                    "[package]\nname = \"cost-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                     [dependencies]\n{dependencies}\n",
                    peer.name
                );
                fs::write(folder.join("Cargo.toml"), manifest)?;
                fs::write(folder.join("src/lib.rs"), functions::source(peer, functions))?;
            }
            let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n");
            fs::write(crates.root.join("Cargo.toml"), manifest)
        };
        written().map_err(|error| format!("cannot write the crates: {error}"))?;
        Ok(crates)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.root
    }

    fn cargo(&self, peer: &Peer, arguments: &[&str]) -> Result<f64, String> {
        let source = self.root.join(peer.name).join("src/lib.rs");
        let log = self.root.join("took");
        let run = || -> io::Result<f64> {
            // Newer than what was made of it: the crate is compiled again, what it needs is not.
            fs::File::options()
                .append(true)
                .open(&source)?
                .set_modified(std::time::SystemTime::now())?;
            let _ = fs::remove_file(&log);
            let status = Command::new("cargo")
                .args(&arguments[..1])
                .args(["--quiet", "-p", &format!("cost-{}", peer.name)])
                .args(&arguments[1..])
                .current_dir(&self.root)
                .env("CARGO_TARGET_DIR", self.root.join("target"))
                .env("CARGO_INCREMENTAL", "0")
                .env("RUSTC_WORKSPACE_WRAPPER", env::current_exe()?)
                .env("RUSTFLAGS", "")
                .env(LOG, &log)
                .stderr(Stdio::inherit())
                .status()?;
            if !status.success() {
                return Err(io::Error::other("cargo failed"));
            }
            let took = fs::read_to_string(&log)?;
            took.trim().parse().map_err(|_| io::Error::other(format!("it took {took}")))
        };
        run().map_err(|error| format!("{}: {arguments:?}: {error}", peer.name))
    }

    /// Compiles the crate and nothing else; the CPU seconds that took.
    pub(crate) fn compile(&self, peer: &Peer, build: Build) -> Result<f64, String> {
        self.cargo(peer, build.arguments())
    }

    /// Lines in the bodies of functions, as they are before any optimization.
    pub(crate) fn llvm_lines(&self, peer: &Peer) -> Result<usize, String> {
        let flags =
            ["--emit=llvm-ir", "-Cno-prepopulate-passes", "-Ccodegen-units=1", "-Cdebuginfo=0"];
        let text = self.emitted(peer, &["rustc", "--"], &flags, "ll")?;
        let text = String::from_utf8_lossy(&text);
        let mut inside = false;
        Ok(text
            .lines()
            .filter(|line| {
                inside = (inside || line.starts_with("define ")) && *line != "}";
                inside
            })
            .count())
    }

    /// Bytes of machine code in a release build.
    pub(crate) fn text_bytes(&self, peer: &Peer) -> Result<usize, String> {
        let flags = ["--emit=obj", "-Ccodegen-units=1"];
        let object = self.emitted(peer, &["rustc", "--release", "--"], &flags, "o")?;
        machine_code::bytes(&object).ok_or_else(|| String::from("the object is no ELF of 64 bits"))
    }

    fn emitted(
        &self,
        peer: &Peer,
        cargo: &[&str],
        flags: &[&str],
        extension: &str,
    ) -> Result<Vec<u8>, String> {
        let profile = if cargo.contains(&"--release") { "release" } else { "debug" };
        let folder = self.root.join("target").join(profile).join("deps");
        let prefix = format!("cost_{}-", peer.name);
        let found = || -> io::Result<Vec<PathBuf>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let ours = name.starts_with(&prefix) && name.ends_with(&format!(".{extension}"));
                if ours {
                    found.push(path);
                }
            }
            Ok(found)
        };
        let read = |error: io::Error| format!("{}: {error}", peer.name);
        for old in found().map_err(read)? {
            fs::remove_file(old).map_err(read)?;
        }
        self.cargo(peer, &[cargo, flags].concat())?;
        match &found().map_err(read)?[..] {
            [one] => fs::read(one).map_err(read),
            several => Err(format!("{}: {} files .{extension}", peer.name, several.len())),
        }
    }
}

/// Cargo runs this program in front of `rustc` for the written crates; then it measures that.
pub(crate) fn as_wrapper() -> Option<ExitCode> {
    let log = env::var_os(LOG)?;
    let mut command = env::args_os().skip(1);
    let status = Command::new(command.next()?).args(command).status();
    let Ok(status) = status else { return Some(ExitCode::FAILURE) };
    // The last run counts: cargo first asks the compiler for its version.
    let _ = fs::write(log, format!("{:.4}", children_seconds()));
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Some(ExitCode::from(code))
}

fn children_seconds() -> f64 {
    // SAFETY: `rusage` is plain numbers, and the pointer is to one of them.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

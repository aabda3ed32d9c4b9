//! A test in a process of its own: redspan is installed once a process, and a shutdown that hangs
//! must not take the other tests along.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Says in the new process which test it is there for.
const ALONE: &str = "REDSPAN_TEST_ALONE";

/// Longer than any of them takes: past it one hangs.
const HANGS: Duration = Duration::from_secs(240);

/// Whether this is the process that [`run`] has started for `test`.
pub fn is_alone(test: &str) -> bool {
    std::env::var(ALONE).is_ok_and(|it| it == test)
}

/// Runs this test program's test `test` in a new process, and returns what it printed. Of the
/// variables that redspan reads it has only `variables`.
///
/// # Panics
/// If the test fails or hangs there: it then shows what was printed.
pub fn run(test: &str, variables: &[(&str, String)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value))).env(ALONE, test);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a new process");
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let readers = [
        thread::spawn(move || read(stdout.expect("it is piped"))),
        thread::spawn(move || read(stderr.expect("it is piped"))),
    ];
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break Some(status);
        }
        if start.elapsed() > HANGS {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("no panic"));
    assert!(
        ended.is_some_and(|status| status.success()) && stdout.contains("1 passed"),
        "{test}: {}\n{stdout}\n{stderr}",
        ended.map_or("it hangs".to_owned(), |status| status.to_string()),
    );
    stdout
}

fn read(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("a pipe");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs `body` in a process of its own, as [`run`] does, and shows what it printed.
pub fn alone(test: &str, variables: &[(&str, String)], body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    println!("{}", run(test, variables));
}

/// The memory that this process occupies, in bytes, where the system tells.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

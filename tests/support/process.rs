//! A test in a process of its own: redspan is installed once a process, and a shutdown that hangs
//! must not take the other tests along.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
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
    let mut child = started(test, variables, Stdio::null());
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

/// A new process with this program's test `test`; of the variables that redspan reads it has only
/// `variables`.
fn started(test: &str, variables: &[(&str, String)], stdin: Stdio) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value))).env(ALONE, test);
    let command = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a new process")
}

/// Begins an answer, wherever in a line the test harness has left off.
const ANSWER: &str = "@answer ";

/// A test in a process of its own which is asked things meanwhile. It is killed when this is dropped.
pub struct Beside {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Beside {
    /// Starts this test program's test `test`, which then calls [`answer`].
    pub fn start(test: &str, variables: &[(&str, String)]) -> Self {
        let mut child = started(test, variables, Stdio::piped());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Beside {
            questions: child.stdin.take(),
            answers: BufReader::new(stdout.expect("it is piped")),
            errors: Some(thread::spawn(move || read(stderr.expect("it is piped")))),
            child,
        }
    }

    /// Asks something, in one line, and waits for the answer.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn ask(&mut self, question: &str) -> String {
        let questions = self.questions.as_mut().expect("open until the end");
        let asked = writeln!(questions, "{question}").and_then(|()| questions.flush());
        let mut line = String::new();
        while asked.is_ok() && self.answers.read_line(&mut line).expect("a pipe") > 0 {
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("no answer to {question}: {}", self.said());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If the test fails there.
    pub fn end(mut self) {
        self.questions = None;
        let status = self.child.wait().expect("a child of ours");
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// What it said on stderr until its end.
    fn said(&mut self) -> String {
        self.errors.take().map_or(String::new(), |it| it.join().expect("no panic"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers what a [`Beside`] asks of this process, in one line each, until nobody asks any more.
pub fn answer(mut answer: impl FnMut(&str) -> String) {
    for question in std::io::stdin().lock().lines() {
        let answer = answer(question.expect("a pipe").trim());
        println!("{ANSWER}{answer}");
    }
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

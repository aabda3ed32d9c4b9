//! What can go wrong with a sink, by the system's own means.

use redspan::export::{OtlpSettings, Signal};
use redspan::log::{self, Rotation, Sink};
use redspan_tests::Receiver;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// A pipe that nobody reads.
    Blocks,
    /// A device that refuses everything.
    Fails,
    /// A file that may not grow.
    Fills,
    /// An OTLP receiver that is gone.
    Gone,
    /// None: what the measure itself makes of two healthy sinks.
    Control,
}

pub(crate) const TROUBLES: [Trouble; 4] =
    [Trouble::Blocks, Trouble::Fails, Trouble::Fills, Trouble::Gone];

impl Trouble {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Trouble::Blocks => "a pipe that nobody reads",
            Trouble::Fails => "/dev/full",
            Trouble::Fills => "a file that may not grow",
            Trouble::Gone => "a receiver that is gone",
            Trouble::Control => "no trouble",
        }
    }
}

static STANDS: AtomicUsize = AtomicUsize::new(0);

/// A destination, and the hand that gets it into trouble and out of it.
pub(crate) enum Stand {
    Blocks { writer: Option<PipeWriter>, reader: Reader },
    Fails { bad: Arc<AtomicBool>, good: PathBuf, fails: bool },
    Fills { directory: PathBuf },
    Gone { receiver: Receiver, arrived: u64 },
}

/// A thread that reads a pipe, when it may.
pub(crate) struct Reader {
    lines: Arc<AtomicU64>,
    reads: mpsc::Sender<bool>,
}

impl Reader {
    fn start(mut from: PipeReader) -> Reader {
        let lines = Arc::new(AtomicU64::new(0));
        let (reads, allowed) = mpsc::channel();
        let counts = lines.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            loop {
                // Asked to stop, it waits for the word to go on.
                let mut last = allowed.try_iter().last();
                while last == Some(false) {
                    last = allowed.recv().ok();
                }
                match from.read(&mut bytes) {
                    Ok(0) | Err(_) => return,
                    Ok(n) => {
                        let lines = bytes[..n].iter().filter(|byte| **byte == b'\n').count();
                        counts.fetch_add(lines as u64, SeqCst);
                    }
                }
            }
        });
        Reader { lines, reads }
    }
}

/// A file, or the full device in its place.
struct Switch {
    bad: Arc<AtomicBool>,
    good: File,
    full: File,
}

impl Write for Switch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bad.load(SeqCst) { self.full.write(bytes) } else { self.good.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a soft limit");
}

impl Stand {
    pub(crate) fn new(trouble: Trouble) -> Stand {
        let n = STANDS.fetch_add(1, SeqCst);
        let at = std::env::temp_dir().join(format!("redspan-sinks-{}-{n}", std::process::id()));
        match trouble {
            Trouble::Blocks => {
                let (reader, writer) = io::pipe().expect("a pipe");
                Stand::Blocks { writer: Some(writer), reader: Reader::start(reader) }
            }
            Trouble::Fails => Stand::Fails { bad: Arc::default(), good: at, fails: true },
            Trouble::Control => Stand::Fails { bad: Arc::default(), good: at, fails: false },
            Trouble::Fills => Stand::Fills { directory: at },
            Trouble::Gone => Stand::Gone { receiver: Receiver::start(), arrived: 0 },
        }
    }

    pub(crate) fn sink(&mut self) -> Sink {
        match self {
            Stand::Blocks { writer, .. } => log::to(writer.take().expect("asked for once")),
            Stand::Fails { bad, good, .. } => log::to(Switch {
                bad: bad.clone(),
                good: File::create(good).expect("a file"),
                full: File::options().write(true).open("/dev/full").expect("Linux has it"),
            }),
            Stand::Fills { directory } => {
                log::file(directory, "full", Rotation::Never, 1).expect("a directory")
            }
            Stand::Gone { receiver, .. } => {
                let settings = OtlpSettings::http_for(Signal::Logs, &receiver.http());
                log::otlp(settings.timeout(Duration::from_secs(1))).expect("settings")
            }
        }
    }

    pub(crate) fn begin(&mut self) {
        match self {
            Stand::Blocks { reader, .. } => reader.reads.send(false).expect("it listens"),
            Stand::Fails { bad, fails, .. } => bad.store(*fails, SeqCst),
            // In the middle of a line, as it happens on a disk.
            Stand::Fills { directory } => {
                let length = fs::metadata(only_file(directory)).expect("it is there").len();
                limit(Some(length + 10_001));
            }
            Stand::Gone { receiver, .. } => receiver.stop(),
        }
    }

    pub(crate) fn end(&mut self) {
        match self {
            Stand::Blocks { reader, .. } => reader.reads.send(true).expect("it listens"),
            Stand::Fails { bad, .. } => bad.store(false, SeqCst),
            Stand::Fills { .. } => limit(None),
            Stand::Gone { receiver, .. } => receiver.restart(),
        }
    }

    /// Puts a file's end where no other file of this process comes: the limit is the process's.
    pub(crate) fn goes_ahead(&self) {
        if let Stand::Fills { directory } = self {
            let mut file =
                File::options().append(true).open(only_file(directory)).expect("it is there");
            file.set_len(64 << 20).and_then(|()| file.write_all(b"\n")).expect("there is room");
        }
    }

    /// How many whole lines came, ever.
    pub(crate) fn arrived(&mut self) -> u64 {
        let whole = |file: &PathBuf| {
            let text = fs::read(file).expect("a file");
            let lines = text.split(|byte| *byte == b'\n');
            lines.filter(|it| serde_json::from_slice::<serde_json::Value>(it).is_ok()).count()
                as u64
        };
        match self {
            Stand::Blocks { reader, .. } => {
                // The last lines are in the pipe when the sink has written them.
                let mut seen = u64::MAX;
                while seen != reader.lines.load(SeqCst) {
                    seen = reader.lines.load(SeqCst);
                    std::thread::sleep(Duration::from_millis(50));
                }
                seen
            }
            Stand::Fails { good, .. } => whole(good),
            Stand::Fills { directory } => whole(&only_file(directory)),
            Stand::Gone { receiver, arrived } => {
                *arrived += receiver.take_records().len() as u64;
                *arrived
            }
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        match self {
            Stand::Fails { good, .. } => drop(fs::remove_file(good)),
            Stand::Fills { directory } => drop(fs::remove_dir_all(directory)),
            Stand::Blocks { .. } | Stand::Gone { .. } => {}
        }
    }
}

fn only_file(directory: &PathBuf) -> PathBuf {
    let mut files = fs::read_dir(directory).expect("a directory");
    files.next().expect("a file").expect("a file").path()
}

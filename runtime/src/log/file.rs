//! Lines to files that are changed in time.
//!
//! Not `tracing_appender::rolling` (0.2.5), for what its source says: what it removes is whatever in the directory
//! begins with the prefix and ends with the suffix, other programs' files too, and it removes at each start as if
//! it began a new file, so that of one file to keep nothing is left.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::clock::Utc;
use super::sink::{self, Sink};
use crate::config::ConfigError;

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// Every hour, in UTC.
    Hourly,
    /// Every day, in UTC.
    Daily,
    /// Every week, on Sunday, in UTC.
    Weekly,
    /// Never.
    Never,
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// How long the old file is written on where no new one could be begun, until that is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files in a directory, named `<prefix>.<time>.log`: a new one each day or as `rotation` says, of which
/// the newest `keep` stay, and one at least. What has another name stays as well. `<prefix>.log` alone where
/// there is no rotation. JSON unless something else is said.
///
/// The directory is made if it is not there. Where a new file cannot be begun later, the old one is
/// written on; a full disk drops lines, counted, until there is room again.
///
/// ```
/// use redspan::log::{self, Rotation};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join("redspan-log-doc");
/// let layer = log::layer().also(log::file(&directory, "shop", Rotation::Daily, 7)?);
/// # drop(layer);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the directory or the first file cannot be made, or the prefix is empty or a path.
pub fn file(
    directory: impl AsRef<Path>,
    prefix: &str,
    rotation: Rotation,
    keep: usize,
) -> Result<Sink, ConfigError> {
    if prefix.is_empty() || prefix.contains(['/', '\\']) {
        return Err(ConfigError::new(format!(
            "log files cannot be named {prefix:?}: expected the beginning of a name, such as \"shop\"; their \
             directory is said apart"
        )));
    }
    let directory = directory.as_ref();
    let refused = |error: &dyn Display| {
        ConfigError::new(format!(
            "log files cannot be written to {}: {error}; expected a directory that this process may \
             write to",
            directory.display()
        ))
    };
    fs::create_dir_all(directory).map_err(|error| refused(&error))?;
    let named =
        Named { directory: directory.to_owned(), prefix: prefix.to_owned(), rotation, keep };
    let files = Files::open(named, SystemTime::now()).map_err(|error| refused(&error))?;
    Ok(sink::to(files))
}

impl Rotation {
    /// The number of the period that a moment lies in.
    fn period(self, at: SystemTime) -> u64 {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self {
            Rotation::Hourly => seconds / HOUR,
            Rotation::Daily => seconds / DAY,
            // 1970 began on a Thursday.
            Rotation::Weekly => (seconds / DAY + 4) / 7,
            Rotation::Never => 0,
        }
    }

    /// When a period began, as its file's name says it; nothing where there is only one.
    fn begin(self, period: u64) -> Option<String> {
        let seconds = match self {
            Rotation::Hourly => period * HOUR,
            Rotation::Daily => period * DAY,
            Rotation::Weekly => (period * 7).saturating_sub(4) * DAY,
            Rotation::Never => return None,
        };
        let begin = Utc::of(UNIX_EPOCH + Duration::from_secs(seconds));
        Some(begin.of_a_file(self == Rotation::Hourly))
    }
}

/// What the files are called, and which of them stay.
#[derive(Debug)]
struct Named {
    directory: PathBuf,
    prefix: String,
    rotation: Rotation,
    keep: usize,
}

impl Named {
    fn name(&self, period: u64) -> String {
        match self.rotation.begin(period) {
            Some(begin) => format!("{}.{begin}.log", self.prefix),
            None => format!("{}.log", self.prefix),
        }
    }

    /// Opens a period's file, and removes the oldest beyond those that stay.
    fn begin(&self, period: u64) -> io::Result<File> {
        let name = self.name(period);
        let path = self.directory.join(&name);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if self.rotation != Rotation::Never {
            self.remove_old(&name);
        }
        Ok(file)
    }

    /// Whatever comes of that: lines are written all the same.
    fn remove_old(&self, current: &str) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let files = entries.flatten().filter(|it| it.file_type().is_ok_and(|kind| kind.is_file()));
        let names = files.filter_map(|it| it.file_name().into_string().ok());
        let mut old: Vec<_> =
            names.filter(|name| name != current && self.is_own(name, current)).collect();
        // As their times do.
        old.sort_unstable();
        old.truncate((old.len() + 1).saturating_sub(self.keep.max(1)));
        for name in old {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    /// Whether a name is as the current one but for the time, of which only digits differ.
    fn is_own(&self, name: &str, current: &str) -> bool {
        let times = name.strip_prefix(&self.prefix).zip(current.strip_prefix(&self.prefix));
        let alike = |(a, b): (u8, u8)| a == b || a.is_ascii_digit() && b.is_ascii_digit();
        times.is_some_and(|(a, b)| a.len() == b.len() && a.bytes().zip(b.bytes()).all(alike))
    }
}

/// The file of now, and how to find the next one.
#[derive(Debug)]
struct Files {
    named: Named,
    file: File,
    period: u64,
    /// When a new one could not be begun.
    failed: Option<Instant>,
}

impl Files {
    fn open(named: Named, now: SystemTime) -> io::Result<Files> {
        let period = named.rotation.period(now);
        let file = named.begin(period)?;
        Ok(Files { named, file, period, failed: None })
    }

    /// Goes on to the next file, if its time has come.
    fn turn(&mut self, now: SystemTime) {
        let period = self.named.rotation.period(now);
        // A clock that is set back begins no file anew.
        if period <= self.period || self.failed.is_some_and(|at| at.elapsed() < PATIENCE) {
            return;
        }
        match self.named.begin(period) {
            Ok(file) => (self.file, self.period, self.failed) = (file, period, None),
            Err(_) => self.failed = Some(Instant::now()),
        }
    }
}

impl Write for Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn(SystemTime::now());
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of the test's own, with these files in it.
    struct Directory(PathBuf);

    impl Directory {
        fn with(name: &str, files: &[&str]) -> Directory {
            let path = std::env::temp_dir().join(format!("redspan-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            files.iter().for_each(|file| fs::write(path.join(file), "before\n").unwrap());
            Directory(path)
        }

        fn named(&self, rotation: Rotation, keep: usize) -> Named {
            Named { directory: self.0.clone(), prefix: "shop".into(), rotation, keep }
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// 2026-01-31 23:59:59, a Saturday.
    const LATE: Duration = Duration::from_secs(1_769_903_999);

    #[test]
    fn a_start_goes_on_with_todays_file_and_leaves_what_is_to_stay() {
        let today = "shop.2026-01-31.log";
        for (rotation, name) in [(Rotation::Daily, today), (Rotation::Never, "shop.log")] {
            let directory = Directory::with("log-start", &[name]);
            for line in ["first\n", "second\n"] {
                let mut files =
                    Files::open(directory.named(rotation, 1), UNIX_EPOCH + LATE).unwrap();
                files.file.write_all(line.as_bytes()).unwrap();
            }
            assert_eq!(directory.text(name), "before\nfirst\nsecond\n");
        }
    }

    #[test]
    fn the_oldest_go_and_what_others_have_written_stays() {
        let others = [
            "app.2020-01-01.log",
            "changelog",
            "shop-admin.2020-01-01.log",
            "shop.2020-01-01-05.log",
            "shop.2020-01-01.log.gz",
            "shop.blog",
            "shop.log",
        ];
        let own = ["shop.2025-12-31.log", "shop.2026-01-29.log", "shop.2026-01-30.log"];
        let directory = Directory::with("log-others", &[&others[..], &own].concat());
        Files::open(directory.named(Rotation::Daily, 2), UNIX_EPOCH + LATE).unwrap();
        let mut left = [&others[..], &["shop.2026-01-30.log", "shop.2026-01-31.log"]].concat();
        left.sort_unstable();
        assert_eq!(directory.files(), left);
        // A prefix may have digits itself.
        let directory = Directory::with("log-digits", &["a1.2026-01-30.log", "a2.2026-01-30.log"]);
        let named = Named { prefix: "a2".into(), ..directory.named(Rotation::Daily, 1) };
        Files::open(named, UNIX_EPOCH + LATE).unwrap();
        assert_eq!(directory.files(), ["a1.2026-01-30.log", "a2.2026-01-31.log"]);
    }

    #[test]
    fn a_new_file_is_begun_when_its_time_has_come() {
        for (rotation, before, after) in [
            (Rotation::Hourly, "shop.2026-01-31-23.log", Some("shop.2026-02-01-00.log")),
            (Rotation::Daily, "shop.2026-01-31.log", Some("shop.2026-02-01.log")),
            // The Sundays.
            (Rotation::Weekly, "shop.2026-01-25.log", Some("shop.2026-02-01.log")),
            (Rotation::Never, "shop.log", None),
        ] {
            let directory = Directory::with("log-turn", &[]);
            let late = UNIX_EPOCH + LATE;
            let mut files = Files::open(directory.named(rotation, 9), late).unwrap();
            files.turn(late);
            assert_eq!(directory.files(), [before]);
            files.turn(late + Duration::from_secs(1));
            // Set back, it goes on where it was.
            files.turn(late);
            files.file.write_all(b"after\n").unwrap();
            assert_eq!(directory.text(after.unwrap_or(before)), "after\n");
            assert_eq!(directory.files().len(), 1 + usize::from(after.is_some()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn where_no_new_file_can_be_begun_the_old_one_is_written_on() {
        let directory = Directory::with("log-on", &[]);
        let late = UNIX_EPOCH + LATE;
        let mut files = Files::open(directory.named(Rotation::Daily, 1), late).unwrap();
        let away = directory.0.with_extension("away");
        fs::rename(&directory.0, &away).unwrap();
        files.turn(late + Duration::from_secs(1));
        assert!(files.failed.is_some());
        files.file.write_all(b"on\n").unwrap();
        fs::rename(&away, &directory.0).unwrap();
        assert_eq!(directory.text("shop.2026-01-31.log"), "on\n");
        files.failed = None;
        files.turn(late + Duration::from_secs(1));
        assert_eq!(directory.files(), ["shop.2026-02-01.log"]);
    }

    #[test]
    fn a_prefix_is_no_path_and_not_empty() {
        for prefix in ["", "sub/shop", "sub\\shop"] {
            let error = file(std::env::temp_dir(), prefix, Rotation::Daily, 1).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(&format!("{prefix:?}")) && error.contains("expected"),
                "{error}"
            );
        }
    }
}

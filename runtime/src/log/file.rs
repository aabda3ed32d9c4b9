//! Lines to files that are changed in time.
//!
//! Not `tracing_appender::rolling` (0.2.5), for what its source says: what it removes is whatever in the directory
//! begins with the prefix and ends with the suffix, other programs' files too, and it removes at each start as if
//! it began a new file, so that of one file to keep nothing is left.

use std::fmt::Display;
use std::fs::{self, File, Metadata, OpenOptions};
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

/// How often it is looked whether the file is still where it was begun.
const LOOK: Duration = Duration::from_secs(1);

/// Files in a directory, named `<prefix>.<time>.log`: a new one each day or as `rotation` says, of which
/// the newest `keep` stay, and one at least. What has another name stays as well. `<prefix>.log` alone where
/// there is no rotation. JSON unless something else is said.
///
/// The directory is made if it is not there. Where a new file cannot be begun later, the old one is
/// written on; a full disk drops lines, counted, until there is room again. A file that is moved away, as
/// `logrotate` does it, or removed, is begun anew within a second.
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
        let open = || OpenOptions::new().append(true).create(true).open(&path);
        let file = open().or_else(|error| match error.kind() {
            // Removed with its files.
            io::ErrorKind::NotFound => fs::create_dir_all(&self.directory).and_then(|()| open()),
            _ => Err(error),
        })?;
        if self.rotation != Rotation::Never {
            self.remove_old(&name);
        }
        Ok(file)
    }

    /// Whether `file`, which was begun for this period, is still found there.
    fn is_at_its_place(&self, file: &File, period: u64) -> bool {
        let found = fs::metadata(self.directory.join(self.name(period)));
        found.is_ok_and(|found| file.metadata().map_or(true, |file| same(&file, &found)))
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

#[cfg(unix)]
fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// There is one of this name, and open files are not moved.
#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Whether nobody will ever read what is written to it.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|file| file.nlink() == 0)
}

#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

/// The file of now, and how to find the next one.
#[derive(Debug)]
struct Files {
    named: Named,
    file: File,
    period: u64,
    /// When a new one could not be begun.
    failed: Option<Instant>,
    /// When it was looked for last.
    looked: Instant,
    /// It was removed, and cannot be begun anew: lines are not written, and count as that.
    gone: bool,
    /// A line of which the file has a part: its end belongs there as well.
    within_a_line: bool,
}

impl Files {
    fn open(named: Named, now: SystemTime) -> io::Result<Files> {
        let period = named.rotation.period(now);
        let file = named.begin(period)?;
        let (failed, looked) = (None, Instant::now());
        Ok(Files { named, file, period, failed, looked, gone: false, within_a_line: false })
    }

    /// Goes on to the next file, if its time has come, or to one in place of a file that is no longer there.
    fn turn(&mut self, now: SystemTime) {
        if self.failed.is_some_and(|at| at.elapsed() < PATIENCE) {
            return;
        }
        // A clock that is set back begins no file anew, unless it was so far ahead that this would mean to wait for
        // the time that it has shown.
        let now = self.named.rotation.period(now);
        let period = if now + 1 < self.period { now } else { now.max(self.period) };
        if period == self.period && !self.is_missed() {
            return;
        }
        match self.named.begin(period) {
            Ok(file) => {
                (self.file, self.period, self.failed, self.gone) = (file, period, None, false);
            }
            Err(_) => {
                self.failed = Some(Instant::now());
                self.gone = is_removed(&self.file);
            }
        }
    }

    /// Whether it is no longer where it was begun, if it is time to look.
    fn is_missed(&mut self) -> bool {
        if !self.gone && self.looked.elapsed() < LOOK {
            return false;
        }
        self.looked = Instant::now();
        !self.named.is_at_its_place(&self.file, self.period)
    }
}

impl Write for Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.within_a_line {
            self.turn(SystemTime::now());
        }
        if self.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        let written = self.file.write(bytes)?;
        if let Some(last) = bytes.get(..written).and_then(<[u8]>::last) {
            self.within_a_line = *last != b'\n';
        }
        Ok(written)
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

    #[test]
    fn a_clock_that_was_far_ahead_is_not_waited_for() {
        for (rotation, now, next) in [
            (Rotation::Hourly, "shop.2026-01-31-23.log", "shop.2026-02-01-00.log"),
            (Rotation::Daily, "shop.2026-01-31.log", "shop.2026-02-01.log"),
            (Rotation::Weekly, "shop.2026-01-25.log", "shop.2026-02-01.log"),
        ] {
            let directory = Directory::with("log-ahead", &[]);
            let late = UNIX_EPOCH + LATE;
            let ahead = late + Duration::from_secs(3_650 * DAY);
            let mut files = Files::open(directory.named(rotation, 9), late).unwrap();
            for (at, line) in [(ahead, "ahead\n"), (late, "right\n")] {
                files.turn(at);
                files.file.write_all(line.as_bytes()).unwrap();
            }
            assert_eq!(directory.text(now), "right\n", "{rotation:?}");
            files.turn(late + Duration::from_secs(1));
            files.file.write_all(b"next\n").unwrap();
            assert_eq!(directory.text(next), "next\n", "{rotation:?}");
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
        // No directory can be made there.
        fs::write(&directory.0, "in the way").unwrap();
        files.turn(late + Duration::from_secs(1));
        assert!(files.failed.is_some());
        files.file.write_all(b"on\n").unwrap();
        fs::remove_file(&directory.0).unwrap();
        fs::rename(&away, &directory.0).unwrap();
        assert_eq!(directory.text("shop.2026-01-31.log"), "on\n");
        files.failed = None;
        files.turn(late + Duration::from_secs(1));
        assert_eq!(directory.files(), ["shop.2026-02-01.log"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_moved_away_or_removed_is_begun_anew() {
        for rotation in [Rotation::Never, Rotation::Daily] {
            let directory = Directory::with("log-away", &[]);
            let now = UNIX_EPOCH + LATE;
            let mut files = Files::open(directory.named(rotation, 9), now).unwrap();
            let [path, moved] = ["log", "log.1"]
                .map(|kind| directory.0.join(files.named.name(files.period)).with_extension(kind));
            let mut say = |line: &[u8]| {
                // It is time to look again.
                files.looked = Instant::now().checked_sub(LOOK).unwrap();
                files.turn(now);
                files.file.write_all(line).unwrap();
            };
            say(b"before\n");
            fs::rename(&path, &moved).unwrap();
            say(b"after\n");
            let texts = [&moved, &path].map(|path| fs::read_to_string(path).unwrap());
            assert_eq!(texts, ["before\n", "after\n"]);
            fs::remove_dir_all(&directory.0).unwrap();
            say(b"and in a new directory\n");
            assert_eq!(fs::read_to_string(&path).unwrap(), "and in a new directory\n");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_goes_to_a_removed_file_is_not_said_to_be_written() {
        let directory = Directory::with("log-gone", &[]);
        let mut files =
            Files::open(directory.named(Rotation::Never, 1), SystemTime::now()).unwrap();
        let look = |files: &mut Files| {
            files.looked = Instant::now().checked_sub(LOOK).unwrap();
            files.failed = None;
            files.write(b"line\n")
        };
        fs::remove_dir_all(&directory.0).unwrap();
        // No directory can be made there.
        fs::write(&directory.0, "in the way").unwrap();
        assert!(look(&mut files).is_err() && files.write(b"line\n").is_err());
        fs::remove_file(&directory.0).unwrap();
        assert_eq!(look(&mut files).unwrap(), 5);
        assert_eq!(directory.text("shop.log"), "line\n");
    }

    #[test]
    fn a_line_ends_in_the_file_that_it_began_in() {
        let directory = Directory::with("log-whole", &[]);
        // Of yesterday: the next one is due.
        let yesterday = SystemTime::now() - Duration::from_secs(DAY);
        let mut files = Files::open(directory.named(Rotation::Daily, 2), yesterday).unwrap();
        files.within_a_line = true;
        for part in [&b"half a line\n"[..], b"the next\n"] {
            files.write_all(part).unwrap();
        }
        let names = directory.files();
        let texts: Vec<_> = names.iter().map(|name| directory.text(name)).collect();
        assert_eq!(texts, ["half a line\n", "the next\n"]);
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

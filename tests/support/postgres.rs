//! A real PostgreSQL.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// One with an empty database, on a free loopback port, until it is dropped.
pub struct Postgres {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    programs: PathBuf,
}

/// Where Debian and others put its programs, which are not in the path.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<_> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    found.extend(versions.map(|version| version.path().join("bin")));
    // Other programs stand beside it.
    found
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_isready").exists())
}

/// It refuses to run as root: then it runs as the user whom its package has made.
pub(crate) fn as_its_user(command: &mut Command, name: &str) -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = user.split(':').skip(2).filter_map(|id| id.parse().ok());
    let (user, group) = (ids.next()?, ids.next()?);
    command.uid(user).gid(group);
    Some((user, group))
}

impl Postgres {
    /// Whether it is installed; says so if it is not.
    ///
    /// # Panics
    /// If it is not, and `REDSPAN_REQUIRE_SERVERS=1` asks for it.
    pub fn is_there() -> bool {
        let there = programs().is_some();
        if !there {
            crate::skipped("PostgreSQL is not installed", "apt-get install postgresql");
        }
        there
    }

    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let programs = programs().unwrap();
        let name =
            format!("redspan-postgres-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let data = folder.join("data");
        let mut init = Command::new(programs.join("initdb"));
        init.current_dir(&folder).arg("-D").arg(&data);
        init.args(["-A", "trust", "-U", "shop", "-E", "UTF8", "--no-sync", "--no-instructions"]);
        if let Some((user, group)) = as_its_user(&mut init, "postgres") {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let made = init.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Free now, and soon taken.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Postgres::run(&programs, &folder, address);
        let postgres = Postgres { process, address, folder, programs };
        postgres.wait();
        postgres
    }

    fn run(programs: &Path, folder: &Path, address: SocketAddr) -> Child {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(programs.join("postgres"));
        command.current_dir(folder).arg("-D").arg(folder.join("data"));
        command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-k", ""]);
        command.args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        as_its_user(&mut command, "postgres");
        command.spawn().unwrap()
    }

    fn wait(&self) {
        let start = Instant::now();
        let port = self.address.port().to_string();
        loop {
            let mut asks = Command::new(self.programs.join("pg_isready"));
            asks.args(["-q", "-h", "127.0.0.1", "-p", &port]);
            if asks.status().unwrap().success() {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "PostgreSQL does not start:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to connect.
    pub fn url(&self) -> String {
        format!("postgres://shop:a-password@{}/postgres", self.address)
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub fn kill(&mut self) {
        // Its immediate shutdown, which also ends its children.
        let quit = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        assert!(quit.unwrap().success());
        self.process.wait().unwrap();
    }

    /// Starts it again, at the same address with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.process = Postgres::run(&self.programs, &self.folder, self.address);
        self.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.kill();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

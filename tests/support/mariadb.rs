//! A real MariaDB, if one is installed.

use crate::postgres::as_its_user;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Only a server that does not start takes so long.
const LONG: Duration = Duration::from_secs(60);

/// One with a database `shop`, on a free loopback port, until it is dropped.
pub struct MariaDb {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

/// Debian puts the server where only root's path looks.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.exists())
}

impl MariaDb {
    /// Whether it is installed; says so if it is not.
    ///
    /// # Panics
    /// If it is not, and `REDSPAN_REQUIRE_SERVERS=1` asks for it.
    pub fn is_there() -> bool {
        let there = program("mariadbd").is_some() && program("mariadb-install-db").is_some();
        if !there {
            crate::skipped("MariaDB is not installed", "apt-get install mariadb-server");
        }
        there
    }

    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let name = format!("redspan-mariadb-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut init = Command::new(program("mariadb-install-db").unwrap());
        init.current_dir(&folder).arg("--no-defaults");
        init.arg(format!("--datadir={}", folder.join("data").display()));
        // Whoever starts removes what others have there.
        init.arg(format!("--tmpdir={}", folder.display()));
        init.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
        init.args(["--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"]);
        if let Some((user, group)) = as_its_user(&mut init, "mysql") {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let made = init.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        // Free now, and soon taken.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = MariaDb::run(&folder, address);
        let server = MariaDb { process, address, folder };
        server.wait();
        server
    }

    fn run(folder: &Path, address: SocketAddr) -> Child {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let first = "CREATE DATABASE IF NOT EXISTS shop; \
                     CREATE USER IF NOT EXISTS shop@'%' IDENTIFIED BY 'a-password'; \
                     GRANT ALL ON shop.* TO shop@'%';";
        std::fs::write(folder.join("first.sql"), first.replace("; ", ";\n")).unwrap();
        let mut command = Command::new(program("mariadbd").unwrap());
        command.current_dir(folder).arg("--no-defaults");
        command.arg(format!("--datadir={}", folder.join("data").display()));
        command.arg(format!("--tmpdir={}", folder.display()));
        command.arg(format!("--init-file={}", folder.join("first.sql").display()));
        command.arg(format!("--socket={}", folder.join("socket").display()));
        command.arg(format!("--port={}", address.port()));
        command.args(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
        command.args(["--skip-name-resolve", "--innodb-buffer-pool-size=16M"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        as_its_user(&mut command, "mysql");
        command.spawn().unwrap()
    }

    fn wait(&self) {
        let start = Instant::now();
        // It listens once its first statements are done.
        while TcpStream::connect(self.address).is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "MariaDB does not start:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to connect.
    pub fn url(&self) -> String {
        format!("mysql://shop:a-password@{}/shop", self.address)
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

//! The processes of a round: how they are started, asked and ended.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Asks for a [`Mark`].
pub(crate) const MARK: &str = "mark";

/// CPU time of this process, all its threads.
pub(crate) fn process_cpu() -> Duration {
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the answer.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(failed, 0, "getrusage failed");
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) cpu: Duration,
    pub(crate) sampled: u64,
}

/// A process of this program, until it is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    says: BufReader<TcpStream>,
}

/// Where processes report.
pub(crate) struct Control(TcpListener);

impl Control {
    pub(crate) fn open() -> anyhow::Result<Self> {
        Ok(Control(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// Starts this program once more. Of OpenTelemetry's variables it has only `variables`.
    pub(crate) fn start(
        &self,
        what: &str,
        arguments: &[String],
        variables: &[(&str, String)],
    ) -> anyhow::Result<Process> {
        let mut command = match std::env::var("SERVICE_UNDER").ok().filter(|_| what == "serve") {
            // `SERVICE_UNDER='perf record -o /tmp/x'`, to see where the time goes.
            Some(under) => {
                let mut words = under.split_whitespace();
                let mut command = Command::new(words.next().unwrap_or("env"));
                command.args(words).arg(std::env::current_exe()?);
                command
            }
            None => Command::new(std::env::current_exe()?),
        };
        command.arg(what).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn()?;
        self.0.set_nonblocking(true)?;
        let stream = loop {
            match self.0.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if let Some(status) = child.try_wait()? {
                        anyhow::bail!("{what} {arguments:?} ended: {status}");
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error.into()),
            }
        };
        stream.set_nonblocking(false)?;
        let mut says = BufReader::new(stream);
        let mut line = String::new();
        says.read_line(&mut line)?;
        Ok(Process { child, address: line.trim().parse()?, says })
    }
}

impl Process {
    fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        writeln!(self.says.get_mut(), "{question}")?;
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    pub(crate) fn mark(&mut self) -> anyhow::Result<Mark> {
        let line = self.ask(MARK)?;
        let (cpu, sampled) = line.split_once(' ').ok_or(anyhow::anyhow!("it says `{line}`"))?;
        Ok(Mark { cpu: Duration::from_nanos(cpu.parse()?), sampled: sampled.parse()? })
    }

    /// Of a receiver: how many spans of that service it has.
    pub(crate) fn received(&mut self, service: &str) -> anyhow::Result<u64> {
        Ok(self.ask(service)?.parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Told to end, it does; one that hangs is ended.
        let _ = writeln!(self.says.get_mut(), "end");
        for _ in 0..400 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

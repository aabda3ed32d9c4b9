//! The process' and the Tokio runtime's own numbers, asked for at a scrape.
//!
//! What the operating system says is read by the crate `metrics-process`, what the runtime says by Tokio
//! itself. The process' names are [OpenTelemetry's]; it has none for Tokio.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! redspan::process::watch();
//! redspan::process::watch_tokio(&tokio::runtime::Handle::current());
//!
//! let page = redspan::recorder().render_openmetrics();
//! # if cfg!(target_os = "linux") {
//! assert!(page.contains("process_memory_usage_bytes "));
//! # }
//! assert!(page.contains("tokio_runtime_workers 1\n"));
//! # }
//! ```
//!
//! | metric | unit | what |
//! |---|---|---|
//! | `process.cpu.time` | `s` | CPU time that the process has used; on Linux by `cpu.mode`, which is `user` or `system` |
//! | `process.memory.usage`, `process.memory.virtual` | `By` | physical and virtual memory |
//! | `process.thread.count`, `process.unix.file_descriptor.count` | | threads, open file descriptors |
//! | `process.uptime` | `s` | since when it runs |
//! | `tokio.runtime.workers`, `tokio.runtime.tasks`, `tokio.runtime.queue` | | worker threads, tasks that live, tasks that wait in the global queue |
//! | `tokio.runtime.busy.time` | `s` | how long the workers were busy, all together |
//! | `tokio.runtime.parks` | | how often a worker had nothing to do |
//!
//! [OpenTelemetry's]: https://opentelemetry.io/docs/specs/semconv/system/process-metrics/

use crate::metrics::{Values, collect};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Handle, RuntimeMetrics};

/// Shows the process' numbers from now on. Again, it does nothing. What the operating system does not
/// tell is left out.
pub fn watch() {
    static WATCHED: OnceLock<()> = OnceLock::new();
    WATCHED.get_or_init(|| {
        collect("process", process);
    });
}

fn process(values: &mut Values) {
    let seen = metrics_process::collector::collect();
    for (mode, seconds) in cpu_time(seen.cpu_seconds_total) {
        let help = "CPU time that the process has used.";
        let time = values.counter("process.cpu.time").unit("s").help(help);
        match mode {
            Some(mode) => time.label("cpu.mode", mode).set(seconds),
            None => time.set(seconds),
        }
    }
    for (name, unit, help, value) in [
        ("process.memory.usage", "By", "Physical memory in use.", seen.resident_memory_bytes),
        ("process.memory.virtual", "By", "Virtual memory in use.", seen.virtual_memory_bytes),
        ("process.thread.count", "{thread}", "Threads.", seen.threads),
        (
            "process.unix.file_descriptor.count",
            "{file_descriptor}",
            "File descriptors that are open.",
            seen.open_fds,
        ),
    ] {
        if let Some(value) = value {
            values.up_down_counter(name).unit(unit).help(help).set_u64(value);
        }
    }
    if let Some(start) = seen.start_time_seconds {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(start);
        let uptime = SystemTime::now().duration_since(started).unwrap_or_default();
        let help = "How long the process has been running.";
        values.gauge("process.uptime").unit("s").help(help).set(uptime.as_secs_f64());
    }
}

/// CPU time by mode where the system tells it apart, else all of it.
fn cpu_time(total: Option<f64>) -> Vec<(Option<&'static str>, f64)> {
    let modes = std::fs::read_to_string("/proc/self/stat").ok();
    match modes.as_deref().and_then(user_and_system) {
        Some([user, system]) => vec![(Some("user"), user), (Some("system"), system)],
        None => total.map(|total| (None, total)).into_iter().collect(),
    }
}

/// Seconds out of Linux' `/proc/self/stat`, which counts in hundredths on every architecture.
fn user_and_system(stat: &str) -> Option<[f64; 2]> {
    // The program's name may hold anything, also spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(times.next()?.parse::<u64>().ok()? as f64 / 100.0);
    Some([seconds()?, seconds()?])
}

/// Shows a Tokio runtime's numbers from now on. One runtime a process is watched: the first.
pub fn watch_tokio(handle: &Handle) {
    static WATCHED: OnceLock<()> = OnceLock::new();
    WATCHED.get_or_init(|| {
        let runtime = handle.metrics();
        collect("tokio", move |values: &mut Values| tokio_runtime(&runtime, values));
    });
}

fn tokio_runtime(runtime: &RuntimeMetrics, values: &mut Values) {
    let workers = runtime.num_workers();
    for (name, unit, help, value) in [
        ("tokio.runtime.workers", "{thread}", "Worker threads.", workers),
        ("tokio.runtime.tasks", "{task}", "Tasks that live.", runtime.num_alive_tasks()),
        (
            "tokio.runtime.queue",
            "{task}",
            "Tasks that wait in the global queue.",
            runtime.global_queue_depth(),
        ),
    ] {
        values.up_down_counter(name).unit(unit).help(help).set_u64(value as u64);
    }
    #[cfg(target_has_atomic = "64")]
    {
        let busy: Duration =
            (0..workers).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
        let help = "How long the workers were busy, all together.";
        let time = values.counter("tokio.runtime.busy.time").unit("s").help(help);
        time.set(busy.as_secs_f64());
        let parks: u64 = (0..workers).map(|worker| runtime.worker_park_count(worker)).sum();
        let help = "How often a worker had nothing to do.";
        values.counter("tokio.runtime.parks").unit("{park}").help(help).set_u64(parks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_whatever_the_program_is_called() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 1 0 9 1 1";
        assert_eq!(user_and_system(stat), Some([2.5, 0.75]));
        assert_eq!(user_and_system("17 (a"), None);
        assert_eq!(user_and_system("17 (a) S 1"), None);
    }
}

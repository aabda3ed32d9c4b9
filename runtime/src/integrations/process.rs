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
//! | `process.cpu.time` | `s` | CPU time that the process has used |
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
    if let Some(seconds) = seen.cpu_seconds_total {
        let help = "CPU time that the process has used.";
        values.counter("process.cpu.time").unit("s").help(help).set(seconds);
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

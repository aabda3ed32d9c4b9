//! Work queues: utilisation, saturation and errors.

use super::shared;
use crate::metrics::collect::{Collecting, Values, collect};
use crate::metrics::typed::{Counter, Histogram, MetricsError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// OpenTelemetry has no names for work queues.
#[derive(redspan_macros::Metrics)]
#[metrics(crate = crate, prefix = "work_queue")]
struct Queues {
    /// How long jobs waited before somebody began them.
    #[metric(name = "wait.duration", unit = "s")]
    wait_time: Histogram<Named>,
    /// How long jobs took.
    #[metric(name = "job.duration", unit = "s")]
    work_time: Histogram<Named>,
    /// Jobs that have ended, by how.
    #[metric(unit = "{job}")]
    jobs: Counter<Ended>,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Named {
    #[label(cap = 200)]
    queue: String,
}

#[derive(redspan_macros::Label)]
#[label(crate = crate)]
enum End {
    Ok,
    Error,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Ended {
    #[label(cap = 200)]
    queue: String,
    outcome: End,
}

static QUEUES: OnceLock<Queues> = OnceLock::new();

/// How a work queue is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Who works for it.
    pub workers: u64,
    /// Of those, the ones that have a job.
    pub busy: u64,
    /// Jobs that nobody has begun.
    pub waiting: u64,
}

/// Metrics of a work queue: utilisation (the share of workers that have a job) and saturation (jobs
/// that wait), which `state` is asked for at a scrape; wait time, work time and errors, which it is
/// told.
///
/// ```
/// use redspan::metrics::{QueueState, work_queue};
/// use std::time::Duration;
///
/// let mail = work_queue("mail", || QueueState { workers: 4, busy: 3, waiting: 17 })?;
/// mail.waited(Duration::from_millis(40));
/// mail.ended(true, Duration::from_millis(250));
///
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("work_queue_utilization_ratio{queue=\"mail\"} 0.75\n"));
/// assert!(page.contains("work_queue_length{queue=\"mail\"} 17\n"));
/// assert!(page.contains("work_queue_jobs_total{outcome=\"ok\",queue=\"mail\"} 1\n"));
/// # Ok::<(), redspan::metrics::MetricsError>(())
/// ```
///
/// # Errors
/// When a name is taken by another metric.
pub fn work_queue(
    name: impl Into<String>,
    state: impl Fn() -> QueueState + Send + Sync + 'static,
) -> Result<WorkQueue, MetricsError> {
    let queues = shared(&QUEUES)?;
    let named = Named { queue: name.into() };
    let ended = |outcome| {
        let ended = Ended { queue: named.queue.clone(), outcome };
        queues.jobs.with(&ended).into_owned()
    };
    let name = named.queue.clone();
    let collecting = collect(format!("work queue {name}"), move |values: &mut Values| {
        let QueueState { workers, busy, waiting } = state();
        values
            .gauge("work_queue.utilization")
            .unit("1")
            .help("The share of workers that have a job.")
            .label("queue", name.clone())
            .set(if workers == 0 { 0.0 } else { busy as f64 / workers as f64 });
        values
            .up_down_counter("work_queue.length")
            .unit("{job}")
            .help("Jobs that nobody has begun.")
            .label("queue", name.clone())
            .set_u64(waiting);
    });
    Ok(WorkQueue {
        wait_time: queues.wait_time.with(&named).into_owned(),
        work_time: queues.work_time.with(&named).into_owned(),
        ok: ended(End::Ok),
        errors: ended(End::Error),
        collecting: Arc::new(collecting),
    })
}

/// See [`work_queue`].
#[derive(Clone, Debug)]
pub struct WorkQueue {
    wait_time: Histogram,
    work_time: Histogram,
    ok: Counter,
    errors: Counter,
    collecting: Arc<Collecting>,
}

impl WorkQueue {
    /// Somebody begins a job that has waited for this time.
    pub fn waited(&self, time: Duration) {
        self.wait_time.record_duration(time);
    }

    /// A job has ended, well or not, after this time.
    pub fn ended(&self, well: bool, time: Duration) {
        if well {
            self.ok.increment()
        } else {
            self.errors.increment()
        }
        self.work_time.record_duration(time);
    }

    /// The queue is gone: `state` is asked no more, and what it said is shown no more. What was counted stays, and
    /// counts on. Dropping the handles stops nothing.
    pub fn stop(&self) {
        self.collecting.end();
    }
}

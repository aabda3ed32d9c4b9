//! The load: connections that are kept, each with at most one request under way: the next as soon as
//! one is answered, or when it is due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of it.
pub(crate) struct Loaded {
    pub(crate) took: Duration,
    /// Of each request, in nanoseconds, sorted.
    pub(crate) latencies: Vec<u64>,
}

impl Loaded {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// In milliseconds.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let at = (self.latencies.len() as f64 * part) as usize;
        self.latencies.get(at).map_or(f64::NAN, |&nanos| nanos as f64 / 1e6)
    }
}

const REQUEST: &[u8] =
    b"POST /orders/tea HTTP/1.1\r\nhost: 127.0.0.1:8080\r\ncontent-length: 0\r\n\r\n";

/// The requests that are to be made.
struct Plan {
    start: Instant,
    requests: u64,
    made: AtomicU64,
    /// So many a second, however fast they are answered.
    rate: Option<f64>,
}

impl Plan {
    /// When the next one begins; `None`: all are made.
    async fn next(&self) -> Option<Instant> {
        let number = self.made.fetch_add(1, Relaxed);
        if number >= self.requests {
            return None;
        }
        let Some(rate) = self.rate else { return Some(Instant::now()) };
        let due = self.start + Duration::from_secs_f64(number as f64 / rate);
        // Awake: timers are a millisecond late, and to wake this process would be the service's work.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        Some(due)
    }
}

async fn connection(to: SocketAddr, plan: Arc<Plan>) -> anyhow::Result<Vec<u64>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut answer = Vec::with_capacity(4096);
    while let Some(start) = plan.next().await {
        stream.write_all(REQUEST).await?;
        answer.clear();
        while !is_whole(&answer)? {
            let read = stream.read_buf(&mut answer).await?;
            anyhow::ensure!(read > 0, "the service has closed the connection");
        }
        latencies.push(start.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "the service answers {text}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or(anyhow::anyhow!("no length: {head}"))?.parse()?;
    Ok(body.len() >= length)
}

/// Makes so many requests.
pub(crate) async fn load(
    to: SocketAddr,
    requests: u64,
    connections: usize,
    rate: Option<f64>,
) -> anyhow::Result<Loaded> {
    let start = Instant::now();
    let plan = Arc::new(Plan { start, requests, made: AtomicU64::new(0), rate });
    let all: Vec<_> =
        (0..connections).map(|_| tokio::spawn(connection(to, plan.clone()))).collect();
    let mut latencies = Vec::with_capacity(requests as usize);
    for one in all {
        latencies.extend(one.await??);
    }
    let took = start.elapsed();
    latencies.sort_unstable();
    Ok(Loaded { took, latencies })
}

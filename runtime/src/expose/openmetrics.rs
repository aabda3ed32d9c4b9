//! A snapshot as the text that Prometheus reads: OpenMetrics 1.0.0 with exemplars, or the older
//! text format 0.0.4 without.

mod lines;
pub(crate) mod out;

use crate::exemplar::Slot;
use crate::metrics::histogram::Distribution;
use crate::metrics::recorder::Recorder;
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Identity, Now, Reading, Snapshot};
use crate::metrics::store::{Kind, Store};
use lines::{Held, Lines};
use std::fmt::{self, Write};
use std::io;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/openmetrics-text`.
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Text,
}

impl Format {
    /// The value of `Content-Type`.
    #[cfg_attr(
        not(feature = "prometheus"),
        expect(dead_code, reason = "only pages served need it")
    )]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Recorder {
    /// The page that a scrape would show, as [OpenMetrics 1.0.0] with exemplars.
    ///
    /// It is what `/metrics` serves; for a program that has a listener of its own. The content type
    /// is `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    ///
    /// [OpenMetrics 1.0.0]: https://prometheus.io/docs/specs/om/open_metrics_spec/
    pub fn render_openmetrics(&self) -> String {
        self.render(Format::OpenMetrics)
    }

    /// The page that a scrape would show, in Prometheus' [text format] 0.0.4, which has no
    /// exemplars.
    ///
    /// The content type is `text/plain; version=0.0.4; charset=utf-8`.
    ///
    /// [text format]: https://prometheus.io/docs/instrumenting/exposition_formats/
    pub fn render_prometheus(&self) -> String {
        self.render(Format::Text)
    }

    /// Writes what [`render_openmetrics`](Recorder::render_openmetrics) gives to `sink`, some 64 KiB at a time:
    /// of a large page there is never more in memory.
    ///
    /// ```
    /// metrics::with_local_recorder(&redspan::recorder(), || metrics::counter!("opened").increment(1));
    ///
    /// let mut page = Vec::new();                  // a file, a socket
    /// redspan::recorder().write_openmetrics(&mut page)?;
    /// assert!(page.ends_with(b"# EOF\n"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the sink.
    pub fn write_openmetrics(&self, sink: &mut impl io::Write) -> io::Result<()> {
        let reading = Reading::open(&Store::current(), &Identity::of_process());
        let mut chunks = Chunks::new(reading, Format::OpenMetrics);
        while let Some(chunk) = chunks.advance() {
            sink.write_all(chunk.as_bytes())?;
        }
        Ok(())
    }

    fn render(self, format: Format) -> String {
        let reading = Reading::open(&Store::current(), &Identity::of_process());
        // A large page that grows by doubling is copied as long as it is written.
        let mut page = String::with_capacity(reading.size());
        let mut chunks = Chunks::new(reading, format);
        while let Some(chunk) = chunks.advance() {
            page.push_str(chunk);
        }
        page
    }
}

/// How much is handed on at once.
const CHUNK: usize = 64 * 1024;

/// What a piece may have beyond that: the lines of a series are not divided.
const BEYOND: usize = 16 * 1024;

/// A page that is written as it is read, in pieces of about [`CHUNK`] bytes: no more of it is in memory.
pub(crate) struct Chunks {
    reading: Reading,
    lines: Lines,
    /// How many families were written, of redspan's own and of the others.
    own: usize,
    ordered: usize,
    /// How many series of the next one were, and whether its head was.
    series: usize,
    headed: bool,
    done: bool,
    counts: Vec<u64>,
    slots: Vec<Slot>,
}

impl Chunks {
    pub(crate) fn new(reading: Reading, format: Format) -> Self {
        Chunks {
            reading,
            lines: Lines::new(format, CHUNK + BEYOND),
            own: 0,
            ordered: 0,
            series: 0,
            headed: false,
            done: false,
            counts: Vec::new(),
            slots: Vec::new(),
        }
    }

    /// The next piece, until there is none.
    fn advance(&mut self) -> Option<&str> {
        self.lines.out.clear();
        self.fill();
        // All of it comes from texts.
        std::str::from_utf8(self.lines.out.written()).ok().filter(|piece| !piece.is_empty())
    }

    fn fill(&mut self) {
        while self.lines.out.len() < CHUNK && !self.done {
            let own = self.reading.own.get(self.own);
            let ordered = self.reading.order.families.get(self.ordered);
            match (own, ordered) {
                (Some(own), ordered) if ordered.is_none_or(|it| own.name <= it.name) => {
                    self.fill_own();
                }
                (_, Some(_)) => self.fill_ordered(),
                _ => {
                    if self.lines.format == Format::OpenMetrics {
                        self.lines.out.text("# EOF\n");
                    }
                    self.done = true;
                }
            }
        }
    }

    fn fill_own(&mut self) {
        let Some(family) = self.reading.own.get(self.own) else { return };
        if !std::mem::replace(&mut self.headed, true) {
            self.lines.head(family.head());
        }
        while let Some(series) = family.series.get(self.series) {
            if self.lines.out.len() >= CHUNK {
                return;
            }
            self.lines.series(&family.name, series);
            self.series += 1;
        }
        self.own += 1;
        (self.series, self.headed) = (0, false);
    }

    fn fill_ordered(&mut self) {
        let Some(family) = self.reading.order.families.get(self.ordered) else { return };
        let (idle, name) = (self.reading.idle, &*family.name);
        let mut values = self.reading.values.get_mut(self.ordered);
        while let Some(shown) = family.series.get(self.series) {
            if self.lines.out.len() >= CHUNK {
                return;
            }
            let value = match family.kind {
                Kind::Histogram => family.read(shown, idle, |_, now| now),
                _ => values.as_mut().and_then(|values| values.get_mut(self.series)?.take()),
            };
            self.series += 1;
            let Some(value) = value else { continue };
            // A family whose series are all idle is not there.
            if !std::mem::replace(&mut self.headed, true) {
                self.lines.head(family.head());
            }
            let labels = &*shown.labels;
            match value {
                Now::Counter(value, exemplar) => {
                    self.lines.counter(name, labels, value, exemplar.as_deref());
                }
                Now::UpDown(value) => self.lines.number(name, labels, value),
                Now::Gauge(value) => self.lines.number(name, labels, Number::Real(value)),
                Now::Histogram(series) => {
                    series.exemplars_into(&mut self.slots);
                    let exemplars = &*self.slots;
                    match series.read_into(&mut self.counts) {
                        Some((bounds, sum)) => {
                            let counts = &*self.counts;
                            let (in_order, signed) = (true, false);
                            let held = Held { bounds, counts, sum, exemplars, in_order, signed };
                            self.lines.histogram(name, labels, &held);
                        }
                        None => {
                            if let Distribution::Exponential(held) = series.read() {
                                self.lines.exponential(name, labels, &held, exemplars);
                            }
                        }
                    }
                }
            }
        }
        self.ordered += 1;
        (self.series, self.headed) = (0, false);
    }
}

#[cfg(feature = "prometheus")]
impl Iterator for Chunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.fill();
        Some(self.lines.out.take()).filter(|piece| !piece.is_empty())
    }
}

/// Writes `snapshot` to `sink`, in pieces of about [`CHUNK`] bytes.
pub(crate) fn write(snapshot: &Snapshot, format: Format, sink: &mut impl Write) -> fmt::Result {
    let mut lines = Lines::new(format, CHUNK + BEYOND);
    let mut hand_on = |lines: &mut Lines, least: usize| {
        if lines.out.len() >= least {
            sink.write_str(std::str::from_utf8(lines.out.written()).map_err(|_| fmt::Error)?)?;
            lines.out.clear();
        }
        Ok(())
    };
    for family in &snapshot.families {
        lines.head(family.head());
        for series in &family.series {
            lines.series(&family.name, series);
            hand_on(&mut lines, CHUNK)?;
        }
    }
    if format == Format::OpenMetrics {
        lines.out.text("# EOF\n");
    }
    hand_on(&mut lines, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exemplar::Exemplar;
    use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
    use opentelemetry::trace::{SpanId, TraceId};
    use std::time::{Duration, SystemTime};

    fn page(store: &Store, format: Format) -> String {
        let mut page = String::new();
        write(&Snapshot::gather(store, &Identity::default()), format, &mut page).unwrap();
        // As it is served, without a snapshot of it.
        let mut chunks = Chunks::new(Reading::open(store, &Identity::default()), format);
        let mut streamed = String::new();
        while let Some(chunk) = chunks.advance() {
            streamed.push_str(chunk);
        }
        assert_eq!(streamed, page);
        page
    }

    fn exemplar(value: f64) -> Exemplar {
        Exemplar {
            trace_id: TraceId::from_bytes([0xab; 16]),
            span_id: SpanId::from_bytes([0xcd; 8]),
            value,
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_005),
        }
    }

    #[test]
    fn a_counter_is_written_in_both_formats() {
        let store = Store::scoped();
        let counter = store.counter(&Key::from_parts("a.total", &[("k", "v\"\\\n\0")])).unwrap();
        counter.increment(3);
        counter.publish(exemplar(1.0).time.into(), || exemplar(1.0));
        let ids = "trace_id=\"abababababababababababababababab\",span_id=\"cdcdcdcdcdcdcdcd\"";
        let labels = "k=\"v\\\"\\\\\\n\u{fffd}\"";
        let open = page(&store, Format::OpenMetrics);
        assert!(open.starts_with(&format!(
            "# TYPE a counter\na_total{{{labels}}} 3 # {{{ids}}} 1.0 1700000000.005\n"
        )));
        assert!(open.ends_with("# EOF\n"));
        let text = page(&store, Format::Text);
        assert!(text.starts_with(&format!("# TYPE a_total counter\na_total{{{labels}}} 3\n# ")));
        assert!(!text.contains("EOF"));
    }

    #[test]
    fn a_histogram_counts_as_many_as_its_last_bucket() {
        let store = Store::scoped();
        let histogram = store.histogram(&Key::from_name("h")).unwrap();
        for value in [0.2, 0.2, 3e9, 7.0] {
            histogram.record(value);
        }
        histogram.publish(histogram.slot(7.0), exemplar(7.0).time.into(), || exemplar(7.0));
        let open = page(&store, Format::OpenMetrics);
        for line in [
            "h_bucket{le=\"5e-05\"} 0",
            "h_bucket{le=\"0.25\"} 2",
            "h_bucket{le=\"5.0\"} 2",
            "h_bucket{le=\"1e+09\"} 3",
            "h_bucket{le=\"+Inf\"} 4",
            "h_sum 3.0000000074e+09",
            "h_count 4",
        ] {
            assert!(open.lines().any(|shown| shown == line), "{line} is not in\n{open}");
        }
        assert!(open.contains("h_bucket{le=\"10.0\"} 3 # {trace_id="));
        assert!(page(&store, Format::Text).contains("h_bucket{le=\"10\"} 3\n"));
    }

    #[test]
    fn a_sum_below_zero_is_not_shown_as_openmetrics() {
        let store = Store::scoped();
        store.histogram(&Key::from_name("h")).unwrap().record(-4.0);
        store.gauge(&Key::from_name("g")).unwrap().set(-4.0);
        let open = page(&store, Format::OpenMetrics);
        assert!(!open.contains("h_sum") && !open.contains("h_count"));
        assert!(open.contains("g -4.0\n"));
        assert!(page(&store, Format::Text).contains("h_sum -4\nh_count 1\n"));
    }

    #[test]
    fn with_buckets_below_zero_there_is_no_sum_in_openmetrics() {
        use crate::metrics::histogram::Layout;
        use crate::metrics::made::Description;
        use ::metrics::KeyName;
        let store = Store::scoped();
        let layout = Some(Layout::explicit([-10.0, 0.0, 10.0]));
        let description = Description { layout, ..Description::default() };
        store.define(Kind::Histogram, &KeyName::from("heat"), description).unwrap();
        store.histogram(&Key::from_name("heat")).unwrap().record(4.0);
        let open = page(&store, Format::OpenMetrics);
        assert!(open.contains("heat_bucket{le=\"-10.0\"} 0\n"), "{open}");
        assert!(!open.contains("heat_sum") && !open.contains("heat_count"), "{open}");
        assert!(page(&store, Format::Text).contains("heat_sum 4\nheat_count 1\n"));
    }

    #[test]
    fn of_buckets_that_follow_values_below_zero_there_is_no_sum_in_openmetrics() {
        use crate::metrics::histogram::Layout;
        use crate::metrics::made::Description;
        use ::metrics::KeyName;
        let store = Store::scoped();
        let layout = Some(Layout::Exponential);
        let description = Description { layout, ..Description::default() };
        store.define(Kind::Histogram, &KeyName::from("drift"), description).unwrap();
        let histogram = store.histogram(&Key::from_name("drift")).unwrap();
        histogram.record(4.0);
        assert!(page(&store, Format::OpenMetrics).contains("drift_sum 4.0\ndrift_count 1\n"));
        // Still above zero; the next one like it would let it sink.
        histogram.record(-3.0);
        let open = page(&store, Format::OpenMetrics);
        assert!(open.contains("drift_bucket{le=\"0.0\"} 1\n"), "{open}");
        assert!(!open.contains("drift_sum") && !open.contains("drift_count"), "{open}");
        assert!(page(&store, Format::Text).contains("drift_sum 1\ndrift_count 2\n"));
    }

    #[test]
    fn the_strict_parser_takes_exemplars() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let store = Store::scoped();
        let counter = store.counter(&Key::from_parts("c", &[("k", "{}\\\"")])).unwrap();
        counter.publish(exemplar(2.0).time.into(), || exemplar(2.0));
        let histogram = store.histogram(&Key::from_name("h")).unwrap();
        for value in [-1.0, 0.2, 1e12] {
            histogram.record(value);
            let (at, time) = (histogram.slot(value), exemplar(value).time.into());
            histogram.publish(at, time, || exemplar(value));
        }
        let page = page(&store, Format::OpenMetrics);
        assert_eq!(page.matches(" # {").count(), 4);
        let python = std::env::var("REDSPAN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = "import sys; from prometheus_client.openmetrics.parser import \
                      text_string_to_metric_families as read; \
                      print(sum(1 for f in read(sys.stdin.read()) for s in f.samples if s.exemplar))";
        let has = Command::new(&python)
            .args(["-c", "import prometheus_client"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has {
            eprintln!("SKIPPED: {python} has no prometheus_client: pip install prometheus-client");
            return;
        }
        let mut reader = Command::new(&python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = reader.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "4", "{page}");
    }

    #[test]
    fn a_large_page_is_handed_over_in_pieces() {
        struct Pieces(usize, usize);
        impl Write for Pieces {
            fn write_str(&mut self, piece: &str) -> fmt::Result {
                self.0 += 1;
                self.1 = self.1.max(piece.len());
                Ok(())
            }
        }
        let store = Store::scoped();
        for user in 0..200 {
            let key = Key::from_parts("h", &[("user", user.to_string())]);
            store.histogram(&key).unwrap().record(1.0);
        }
        let mut pieces = Pieces(0, 0);
        let snapshot = Snapshot::gather(&store, &Identity::default());
        write(&snapshot, Format::OpenMetrics, &mut pieces).unwrap();
        assert!(pieces.0 > 3 && pieces.1 < 2 * CHUNK);
    }
}

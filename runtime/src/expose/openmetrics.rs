//! A snapshot as the text that Prometheus reads: OpenMetrics 1.0.0 with exemplars, or the older
//! text format 0.0.4 without.

use crate::exemplar::{Exemplar, Slot};
use crate::expose::number::{float, integer};
use crate::metrics::histogram::Distribution;
use crate::metrics::labels::Labels;
use crate::metrics::recorder::Recorder;
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Buckets, Family, Identity, Snapshot, Value};
use crate::metrics::store::{Kind, Store};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

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

    fn render(self, format: Format) -> String {
        let snapshot = Snapshot::gather(&Store::current(), &Identity::of_process());
        // A large page that grows by doubling is copied as long as it is written.
        let mut page = String::with_capacity(snapshot.families.iter().map(size).sum());
        // Writing to a string does not fail.
        let _ = write(&snapshot, format, &mut page);
        page
    }
}

/// About as many bytes as a family takes on a page.
fn size(family: &Family) -> usize {
    let Some(series) = family.series.first() else { return 0 };
    let labels: usize =
        series.labels.iter().map(|label| label.key().len() + label.value().len() + 4).sum();
    let lines = match &series.value {
        Value::Histogram(buckets) => match &buckets.held {
            Distribution::Explicit { counts, .. } => counts.len() + 2,
            Distribution::Exponential(held) => held.positive.counts.len() + 4,
        },
        Value::Counter { .. } | Value::UpDown(_) | Value::Gauge(_) => 1,
    };
    256 + family.help.len() + family.series.len() * lines * (family.name.len() + labels + 32)
}

/// How much is handed to the sink at once.
const CHUNK: usize = 64 * 1024;

/// Writes `snapshot` to `sink`, in pieces of about [`CHUNK`] bytes.
pub(crate) fn write(snapshot: &Snapshot, format: Format, sink: &mut impl Write) -> fmt::Result {
    let mut page = Page {
        sink,
        format,
        out: String::with_capacity(CHUNK + CHUNK / 4),
        labels: String::new(),
        bounds: Bounds::default(),
    };
    for family in &snapshot.families {
        page.family(family)?;
    }
    if format == Format::OpenMetrics {
        page.out.push_str("# EOF\n");
    }
    page.sink.write_str(&page.out)
}

struct Page<'a, W> {
    sink: &'a mut W,
    format: Format,
    out: String,
    /// The labels of the series that is being written.
    labels: String,
    bounds: Bounds,
}

/// The texts of a histogram's bounds, made once for all series that share them.
#[derive(Default)]
struct Bounds {
    of: Option<Arc<[f64]>>,
    texts: Vec<String>,
}

impl Bounds {
    fn of(&mut self, bounds: &Arc<[f64]>, format: Format) -> &[String] {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, bounds)) {
            self.of = Some(Arc::clone(bounds));
            let all = bounds.iter().copied().chain([f64::INFINITY]);
            let text = |bound| {
                let mut text = "le=\"".to_owned();
                float(&mut text, bound, format == Format::OpenMetrics);
                text.push_str("\"} ");
                text
            };
            self.texts = all.map(text).collect();
        }
        &self.texts
    }
}

impl<W: Write> Page<'_, W> {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let open = self.format == Format::OpenMetrics;
        let name = family.name.as_str();
        // OpenMetrics names a counter's family without the suffix, the older format with it.
        let suffix = if family.kind == Kind::Counter && !open { "_total" } else { "" };
        let kind = match family.kind {
            Kind::Counter => "counter",
            // A sum that may sink is a gauge to Prometheus.
            Kind::Gauge | Kind::UpDown => "gauge",
            Kind::Histogram => "histogram",
        };
        let out = &mut self.out;
        if !family.help.is_empty() {
            push(out, &["# HELP ", name, suffix, " "]);
            // The older format does not know an escaped quote in a help text.
            escape(out, &family.help, open);
            out.push('\n');
        }
        push(out, &["# TYPE ", name, suffix, " ", kind, "\n"]);
        if let Some(unit) = family.unit_words().filter(|_| open) {
            push(out, &["# UNIT ", name, " ", &unit, "\n"]);
        }
        for series in &family.series {
            self.labels(&series.labels);
            match &series.value {
                Value::Counter { value, exemplar } => self.counter(name, *value, *exemplar),
                Value::UpDown(value) => self.number(name, *value),
                Value::Gauge(value) => self.number(name, Number::Real(*value)),
                Value::Histogram(buckets) => self.histogram(name, buckets),
            }
            if self.out.len() >= CHUNK {
                self.sink.write_str(&self.out)?;
                self.out.clear();
            }
        }
        Ok(())
    }

    fn labels(&mut self, labels: &Labels) {
        self.labels.clear();
        for label in labels.iter() {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            push(&mut self.labels, &[label.key(), "=\""]);
            escape(&mut self.labels, label.value(), true);
            self.labels.push('"');
        }
    }

    /// A sample's name and labels, and the space before its value.
    fn sample(&mut self, name: &str, suffix: &str) {
        if self.labels.is_empty() {
            push(&mut self.out, &[name, suffix, " "]);
        } else {
            push(&mut self.out, &[name, suffix, "{", &self.labels, "} "]);
        }
    }

    fn counter(&mut self, name: &str, value: Number, exemplar: Option<Exemplar>) {
        self.sample(name, "_total");
        self.value(value);
        self.end(exemplar);
    }

    fn number(&mut self, name: &str, value: Number) {
        self.sample(name, "");
        self.value(value);
        self.end(None);
    }

    fn value(&mut self, value: Number) {
        match value {
            Number::Whole(value) => integer(&mut self.out, value),
            Number::Signed(value) => {
                if value < 0 {
                    self.out.push('-');
                }
                integer(&mut self.out, value.unsigned_abs());
            }
            Number::Real(value) => {
                float(&mut self.out, value, self.format == Format::OpenMetrics);
            }
        }
    }

    fn histogram(&mut self, name: &str, buckets: &Buckets) {
        let (bounds, counts, sum) = match &buckets.held {
            Distribution::Explicit { bounds, counts, sum } => {
                (Arc::clone(bounds), Cow::Borrowed(&**counts), *sum)
            }
            // The texts know no buckets that follow the values.
            Distribution::Exponential(held) => {
                let (bounds, counts) = held.by_octave();
                (Arc::from(bounds), Cow::Owned(counts), held.sum)
            }
        };
        let exponential = matches!(buckets.held, Distribution::Exponential(_));
        let between = if self.labels.is_empty() { "" } else { "," };
        let start = [name, "_bucket{", &self.labels, between].concat();
        let texts = self.bounds.of(&bounds, self.format);
        let mut total = 0;
        // Most buckets of most histograms are empty: their cumulative count is the one before.
        let mut count = "0".to_owned();
        for (at, (text, own)) in texts.iter().zip(counts.iter()).enumerate() {
            if *own != 0 {
                total += own;
                count.clear();
                integer(&mut count, total);
            }
            push(&mut self.out, &[&start, text, &count]);
            let exemplar = match exponential {
                false => buckets.exemplars.get(at).and_then(|slot| slot.get()),
                true => newest_within(&buckets.exemplars, &bounds, at),
            };
            end(&mut self.out, exemplar.filter(|_| self.format == Format::OpenMetrics));
        }
        // OpenMetrics forbids a sum that may sink, and a count without its sum.
        if sum >= 0.0 || self.format == Format::Text {
            self.sample(name, "_sum");
            float(&mut self.out, sum, self.format == Format::OpenMetrics);
            self.end(None);
            self.sample(name, "_count");
            self.out.push_str(&count);
            self.end(None);
        }
    }

    fn end(&mut self, exemplar: Option<Exemplar>) {
        end(&mut self.out, exemplar.filter(|_| self.format == Format::OpenMetrics));
    }
}

/// The newest exemplar that lies in the bucket `at`.
fn newest_within(slots: &[Slot], bounds: &[f64], at: usize) -> Option<Exemplar> {
    let above = at.checked_sub(1).and_then(|at| bounds.get(at)).copied();
    let (above, upto) = (above.unwrap_or(f64::NEG_INFINITY), bounds.get(at).copied());
    let within = |value: f64| value > above && upto.is_none_or(|upto| value <= upto);
    let exemplars = slots.iter().filter_map(Slot::get).filter(|it| within(it.value));
    exemplars.max_by_key(|exemplar| exemplar.time)
}

fn end(out: &mut String, exemplar: Option<Exemplar>) {
    if let Some(exemplar) = exemplar {
        let Exemplar { trace_id, span_id, value, time } = exemplar;
        let _ = write!(out, " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} ");
        float(out, value, true);
        if let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) {
            let _ = write!(out, " {}.{:03}", since.as_secs(), since.subsec_millis());
        }
    }
    out.push('\n');
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

pub(super) fn escape(out: &mut String, text: &str, quotes: bool) {
    let special = |c: char| matches!(c, '\\' | '\n' | '\0') || (c == '"' && quotes);
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'"' => "\\\"",
            // Prometheus' lexer takes a NUL for the end of the page and refuses all of it.
            _ => "\u{fffd}",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
    use opentelemetry::trace::{SpanId, TraceId};
    use std::time::Duration;

    fn page(store: &Store, format: Format) -> String {
        let mut page = String::new();
        write(&Snapshot::gather(store, &Identity::default()), format, &mut page).unwrap();
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
        counter.publish(exemplar(1.0));
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
        histogram.publish(exemplar(7.0));
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
    fn the_strict_parser_takes_exemplars() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let store = Store::scoped();
        let counter = store.counter(&Key::from_parts("c", &[("k", "{}\\\"")])).unwrap();
        counter.publish(exemplar(2.0));
        let histogram = store.histogram(&Key::from_name("h")).unwrap();
        for value in [-1.0, 0.2, 1e12] {
            histogram.record(value);
            histogram.publish(exemplar(value));
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

//! The lines of a page.

use super::Format;
use super::out::{Out, Padded, Short};
use crate::context::ids::hex;
use crate::exemplar::{Exemplar, Slot};
use crate::expose::number::{Digits, float};
use crate::metrics::exponential::Exponential;
use crate::metrics::histogram::Distribution;
use crate::metrics::labels;
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Head, Series, Value};
use crate::metrics::store::Kind;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct Lines {
    pub(super) out: Out,
    pub(super) format: Format,
    /// What all lines of a histogram's buckets begin with.
    start: Padded,
    bounds: Bounds,
}

/// The texts of a histogram's bounds, made once for all series that share them.
#[derive(Default)]
struct Bounds {
    of: Option<Arc<[f64]>>,
    texts: Vec<Short>,
}

impl Bounds {
    fn of(&mut self, bounds: &Arc<[f64]>, format: Format) -> &[Short] {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, bounds)) {
            self.of = Some(Arc::clone(bounds));
            let all = bounds.iter().copied().chain([f64::INFINITY]);
            let text = |bound| {
                // No number takes more than 24 bytes.
                let mut text = Out::new(64);
                text.text("le=\"");
                float(&mut text, bound, format == Format::OpenMetrics);
                text.text("\"} ");
                Short::new(text.written())
            };
            self.texts = all.map(text).collect();
        }
        &self.texts
    }
}

/// What a histogram with bounds holds.
pub(super) struct Held<'a> {
    pub(super) bounds: &'a Arc<[f64]>,
    pub(super) counts: &'a [u64],
    pub(super) sum: f64,
    /// One slot a bucket, or some in no order.
    pub(super) exemplars: &'a [Slot],
    pub(super) in_order: bool,
    /// Whether values lie below zero, as far as the bounds do not tell.
    pub(super) signed: bool,
}

impl Lines {
    pub(super) fn new(format: Format, capacity: usize) -> Self {
        Lines {
            out: Out::new(capacity),
            format,
            start: Padded::default(),
            bounds: Bounds::default(),
        }
    }

    fn open(&self) -> bool {
        self.format == Format::OpenMetrics
    }

    pub(super) fn head(&mut self, head: Head<'_>) {
        let open = self.open();
        let name = head.name;
        // OpenMetrics names a counter's family without the suffix, the older format with it.
        let suffix = if head.kind == Kind::Counter && !open { "_total" } else { "" };
        let kind = match head.kind {
            Kind::Counter => "counter",
            // A sum that may sink is a gauge to Prometheus.
            Kind::Gauge | Kind::UpDown => "gauge",
            Kind::Histogram => "histogram",
        };
        let mut text = String::new();
        if !head.help.is_empty() {
            // The older format does not know an escaped quote in a help text.
            labels::escape(&mut text, head.help, open);
            self.texts(&["# HELP ", name, suffix, " ", &text, "\n"]);
        }
        self.texts(&["# TYPE ", name, suffix, " ", kind, "\n"]);
        if let Some(unit) = head.unit_words().filter(|_| open) {
            self.texts(&["# UNIT ", name, " ", &unit, "\n"]);
        }
    }

    fn texts(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| self.out.text(text));
    }

    /// A series that was read before.
    pub(super) fn series(&mut self, name: &str, series: &Series) {
        let labels = match self.open() {
            true => labels::text_by(&series.labels, labels::pointed),
            false => labels::text(&series.labels),
        };
        match &series.value {
            Value::Counter { value, exemplar } => {
                self.counter(name, &labels, *value, exemplar.as_ref());
            }
            Value::UpDown(value) => self.number(name, &labels, *value),
            Value::Gauge(value) => self.number(name, &labels, Number::Real(*value)),
            Value::Histogram(buckets) => match &buckets.held {
                Distribution::Explicit { bounds, counts, sum } => {
                    let (sum, exemplars) = (*sum, &*buckets.exemplars);
                    let held =
                        Held { bounds, counts, sum, exemplars, in_order: true, signed: false };
                    self.histogram(name, &labels, &held);
                }
                Distribution::Exponential(held) => {
                    self.exponential(name, &labels, held, &buckets.exemplars);
                }
            },
        }
    }

    /// A sample's name and labels, and the space before its value.
    fn sample(&mut self, name: &str, suffix: &str, labels: &str) {
        match labels {
            "" => self.texts(&[name, suffix, " "]),
            _ => self.texts(&[name, suffix, "{", labels, "} "]),
        }
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        labels: &str,
        value: Number,
        exemplar: Option<&Exemplar>,
    ) {
        self.sample(name, "_total", labels);
        self.value(value);
        if let Some(exemplar) = exemplar.filter(|_| self.open()) {
            self.exemplar(exemplar);
        }
        self.out.bytes(b"\n");
    }

    pub(super) fn number(&mut self, name: &str, labels: &str, value: Number) {
        self.sample(name, "", labels);
        self.value(value);
        self.out.bytes(b"\n");
    }

    fn value(&mut self, value: Number) {
        match value {
            Number::Whole(value) => self.out.bytes(Digits::of(value).shown()),
            Number::Signed(value) => {
                if value < 0 {
                    self.out.bytes(b"-");
                }
                self.out.bytes(Digits::of(value.unsigned_abs()).shown());
            }
            Number::Real(value) => float(&mut self.out, value, self.format == Format::OpenMetrics),
        }
    }

    /// The texts know no buckets that follow the values.
    pub(super) fn exponential(
        &mut self,
        name: &str,
        labels: &str,
        held: &Exponential,
        exemplars: &[Slot],
    ) {
        let (bounds, counts) = held.by_octave();
        let (bounds, counts) = (&Arc::from(bounds), &*counts);
        let (sum, signed) = (held.sum, !held.negative.counts.is_empty());
        let held = Held { bounds, counts, sum, exemplars, in_order: false, signed };
        self.histogram(name, labels, &held);
    }

    pub(super) fn histogram(&mut self, name: &str, labels: &str, held: &Held<'_>) {
        let open = self.open();
        let between = if labels.is_empty() { "" } else { "," };
        self.start.fill(&[name, "_bucket{", labels, between]);
        let shown = if open { held.exemplars } else { &[] };
        let mut total = 0;
        // Most buckets of most histograms are empty: their cumulative count is the one before.
        let mut count = Digits::of(0);
        let mut line = Short::new(count.line());
        let texts = self.bounds.of(held.bounds, self.format).iter();
        for (at, (text, own)) in texts.zip(held.counts).enumerate() {
            if *own != 0 {
                total += own;
                count = Digits::of(total);
                line = Short::new(count.line());
            }
            self.out.padded(&self.start);
            self.out.short(text);
            let exemplar = match held.in_order {
                _ if shown.is_empty() => None,
                true => shown.get(at).and_then(Slot::get),
                false => newest_within(shown, held.bounds, at),
            };
            match exemplar {
                None => self.out.short(&line),
                Some(exemplar) => {
                    self.out.bytes(count.shown());
                    write_exemplar(&mut self.out, &exemplar);
                    self.out.bytes(b"\n");
                }
            }
        }
        // OpenMetrics forbids a sum that may sink, and a count without its sum.
        let rises = held.sum >= 0.0
            && !held.signed
            && held.bounds.first().is_none_or(|bound| *bound >= 0.0);
        if rises || !open {
            self.sample(name, "_sum", labels);
            float(&mut self.out, held.sum, open);
            self.out.bytes(b"\n");
            self.sample(name, "_count", labels);
            self.out.bytes(count.line());
        }
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        write_exemplar(&mut self.out, exemplar);
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

fn write_exemplar(out: &mut Out, exemplar: &Exemplar) {
    out.text(" # {trace_id=\"");
    out.bytes(hex(exemplar.trace_id.to_bytes()).as_flattened());
    out.text("\",span_id=\"");
    out.bytes(hex(exemplar.span_id.to_bytes()).as_flattened());
    out.text("\"} ");
    float(out, exemplar.value, true);
    if let Ok(since) = exemplar.time.duration_since(SystemTime::UNIX_EPOCH) {
        out.bytes(b" ");
        out.bytes(Digits::of(since.as_secs()).shown());
        let digit = |size: u32| b'0' + (since.subsec_millis() / size % 10) as u8;
        out.bytes(&[b'.', digit(100), digit(10), digit(1)]);
    }
}

//! Histograms whose buckets follow the values: OpenTelemetry's exponential ones, native histograms in
//! Prometheus.
//!
//! A bucket's bounds are powers of `2^(2^-scale)`. The scale sinks, and neighbours are put together,
//! whenever the values span more than [`SIZE`] buckets: the relative error stays the same over the
//! whole range, and nobody has to know the range beforehand.
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

#![cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only OTLP says all of it"))]

/// Buckets at most, on each side of zero: the specification's default.
const SIZE: i64 = 160;
const MAX_SCALE: i32 = 20;

/// Neighbouring buckets: the first has the index `offset`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) offset: i32,
    pub(crate) counts: Vec<u64>,
}

impl Range {
    fn ends(&self) -> Option<(i64, i64)> {
        let first = i64::from(self.offset);
        (!self.counts.is_empty()).then(|| (first, first + self.counts.len() as i64 - 1))
    }

    /// By how much the scale has to sink until `index` fits beside what is there.
    fn excess(&self, (from, to): (i64, i64)) -> u32 {
        let (mut low, mut high) = match self.ends() {
            Some((low, high)) => (low.min(from), high.max(to)),
            None => (from, to),
        };
        let mut by = 0;
        while high - low >= SIZE {
            (low, high, by) = (low >> 1, high >> 1, by + 1);
        }
        by
    }

    fn coarser(&mut self, by: u32) {
        let Some((low, high)) = self.ends().filter(|_| by > 0) else { return };
        let first = low >> by;
        let mut counts = vec![0; ((high >> by) - first + 1) as usize];
        for (at, count) in (low..).zip(&self.counts) {
            counts[((at >> by) - first) as usize] += count;
        }
        (self.offset, self.counts) = (first as i32, counts);
    }

    /// `index` must fit.
    fn add(&mut self, index: i64, count: u64) {
        let Some((low, high)) = self.ends() else {
            (self.offset, self.counts) = (index as i32, vec![count]);
            return;
        };
        if index < low {
            self.counts.splice(0..0, std::iter::repeat_n(0, (low - index) as usize));
            self.offset = index as i32;
        } else if index > high {
            self.counts.resize((index - low + 1) as usize, 0);
        }
        self.counts[(index - i64::from(self.offset)) as usize] += count;
    }

    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What one histogram holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exponential {
    pub(crate) scale: i32,
    pub(crate) zero: u64,
    pub(crate) positive: Range,
    pub(crate) negative: Range,
    pub(crate) sum: f64,
}

impl Exponential {
    pub(crate) const fn new() -> Self {
        const EMPTY: Range = Range { offset: 0, counts: Vec::new() };
        Exponential { scale: MAX_SCALE, zero: 0, positive: EMPTY, negative: EMPTY, sum: 0.0 }
    }

    pub(crate) fn count(&self) -> u64 {
        self.zero + self.positive.total() + self.negative.total()
    }

    /// A finite value, so often.
    pub(crate) fn add(&mut self, value: f64, count: u64) {
        self.sum += value * count as f64;
        if value == 0.0 {
            self.zero += count;
            return;
        }
        let index = index(value.abs(), self.scale);
        let range = if value > 0.0 { &self.positive } else { &self.negative };
        let by = range.excess((index, index));
        self.sink(by);
        let range = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        range.add(index >> by, count);
    }

    fn sink(&mut self, by: u32) {
        if by > 0 {
            self.scale -= by as i32;
            self.positive.coarser(by);
            self.negative.coarser(by);
        }
    }

    /// The same with buckets no finer than of this scale.
    #[cfg(feature = "prometheus")]
    pub(crate) fn at_most(&self, scale: i32) -> Exponential {
        let mut coarser = self.clone();
        coarser.sink((self.scale - scale).max(0) as u32);
        coarser
    }

    /// Adds what another thread has counted.
    pub(crate) fn merge(&mut self, other: &Exponential) {
        let mut other = other.clone();
        let scale = self.scale.min(other.scale);
        self.sink((self.scale - scale) as u32);
        other.sink((other.scale - scale) as u32);
        let by = [(&self.positive, &other.positive), (&self.negative, &other.negative)]
            .into_iter()
            .filter_map(|(mine, theirs)| Some(mine.excess(theirs.ends()?)))
            .max()
            .unwrap_or(0);
        self.sink(by);
        other.sink(by);
        let pairs = [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)];
        for (mine, theirs) in pairs {
            for (at, &count) in (i64::from(theirs.offset)..).zip(&theirs.counts) {
                if count > 0 {
                    mine.add(at, count);
                }
            }
        }
        self.zero += other.zero;
        self.sum += other.sum;
    }

    /// What was added since `before`, which was an earlier state of the same.
    pub(crate) fn since(&self, before: &Exponential) -> Exponential {
        let mut delta = self.clone();
        let mut before = before.clone();
        before.sink((before.scale - self.scale).max(0) as u32);
        let pairs =
            [(&mut delta.positive, &before.positive), (&mut delta.negative, &before.negative)];
        for (mine, earlier) in pairs {
            for (at, count) in (i64::from(earlier.offset)..).zip(&earlier.counts) {
                let place = usize::try_from(at - i64::from(mine.offset)).ok();
                if let Some(held) = place.and_then(|place| mine.counts.get_mut(place)) {
                    *held = held.saturating_sub(*count);
                }
            }
        }
        delta.zero = delta.zero.saturating_sub(before.zero);
        delta.sum -= before.sum;
        delta
    }

    /// The same as buckets of one bound each, for formats that know no others: bounds are powers of
    /// two, which all scales from 0 on share, so a bucket once shown stays.
    pub(crate) fn by_octave(&self) -> (Vec<f64>, Vec<u64>) {
        let (mut bounds, mut counts) = (Vec::new(), Vec::new());
        let below = self.zero + self.negative.total();
        if below > 0 || self.positive.counts.is_empty() {
            bounds.push(0.0);
            counts.push(below);
        }
        let mut octaves = self.positive.clone();
        octaves.coarser(self.scale.max(0) as u32);
        // Below scale 0 a bucket spans several octaves.
        let wide = (-self.scale).max(0) as u32;
        for (at, count) in (i64::from(octaves.offset)..).zip(octaves.counts) {
            let bound = 2f64.powi(((at + 1) << wide).clamp(-1_100, 1_024) as i32);
            if bound.is_finite() {
                bounds.push(bound);
                counts.push(count);
            } else {
                counts.push(count);
                return (bounds, counts);
            }
        }
        counts.push(0);
        (bounds, counts)
    }
}

/// The bucket of a value above zero: its bounds are `(base^index, base^(index + 1)]`.
fn index(value: f64, scale: i32) -> i64 {
    // Smaller ones have fewer digits than a bucket is wide; the specification lets them join.
    let value = value.max(f64::MIN_POSITIVE);
    let bits = value.to_bits();
    let octave = i64::from((bits >> 52) as i32 & 0x7ff) - 1023;
    if bits << 12 == 0 {
        // A power of two is the upper bound of the bucket below.
        return if scale > 0 { (octave << scale) - 1 } else { (octave - 1) >> -scale };
    }
    if scale <= 0 {
        return octave >> -scale;
    }
    let exact = (value.log2() * f64::from(scale).exp2()).ceil() as i64 - 1;
    // The logarithm is rounded; the octave is not.
    exact.clamp(octave << scale, ((octave + 1) << scale) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_the_bounds_of_its_bucket() {
        for scale in [-3, -1, 0, 1, 3, 8] {
            let base = f64::from(-scale).exp2().exp2();
            for step in 1..400 {
                let value = 1.07f64.powi(step - 200);
                let at = index(value, scale) as f64;
                let (low, high) = (base.powf(at), base.powf(at + 1.0));
                assert!(low < value * 1.000_001 && value <= high * 1.000_001, "{value} {scale}");
            }
        }
        assert_eq!((index(1.0, 0), index(2.0, 0), index(2.5, 0)), (-1, 0, 1));
        assert_eq!((index(4.0, 3), index(4.1, 3)), (15, 16));
        assert_eq!((index(4.0, -1), index(4.1, -1)), (0, 1));
        assert_eq!(index(5e-324, 0), -1023);
    }

    #[test]
    fn the_scale_sinks_as_the_values_spread_and_no_value_is_lost() {
        let mut histogram = Exponential::new();
        histogram.add(1.5, 2);
        assert_eq!(histogram.scale, MAX_SCALE);
        for step in -300..300 {
            histogram.add(10f64.powi(step), 1);
        }
        histogram.add(0.0, 3);
        histogram.add(-2.5, 1);
        assert_eq!(histogram.count(), 606);
        assert!(histogram.positive.counts.len() <= SIZE as usize && histogram.scale < 0);
        let (bounds, counts) = histogram.by_octave();
        assert!(bounds.is_sorted_by(|a, b| a < b) && counts.len() == bounds.len() + 1);
        assert_eq!((bounds[0], counts[0], counts.iter().sum::<u64>()), (0.0, 4, 606));
    }

    #[test]
    fn merging_and_taking_apart_are_exact() {
        let (mut one, mut other, mut both) =
            (Exponential::new(), Exponential::new(), Exponential::new());
        for step in 0..2_000 {
            let value = f64::from(step * step % 977) / 16.0 - 3.0;
            both.add(value, 1);
            if step % 3 == 0 { one.add(value, 1) } else { other.add(value * 1.0, 1) }
        }
        let before = one.clone();
        one.merge(&other);
        assert_eq!((one.count(), one.scale), (both.count(), both.scale));
        assert_eq!((&one.positive, &one.negative), (&both.positive, &both.negative));
        assert!((one.sum - both.sum).abs() < 1e-6);
        let delta = one.since(&before);
        assert_eq!(delta.count(), other.count());
        assert!((delta.sum - other.sum).abs() < 1e-6);
    }

    #[test]
    fn octaves_are_exact_and_stay() {
        let mut histogram = Exponential::new();
        for value in [0.3, 0.5, 0.6, 1.0, 3.0] {
            histogram.add(value, 1);
        }
        let (bounds, counts) = histogram.by_octave();
        assert_eq!(bounds, [0.5, 1.0, 2.0, 4.0]);
        assert_eq!(counts, [2, 2, 0, 1, 0]);
        histogram.add(1e6, 1);
        assert_eq!(histogram.by_octave().0[..4], [0.5, 1.0, 2.0, 4.0]);
    }
}

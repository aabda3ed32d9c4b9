//! Each sampler keeps its promise, on a clock that the test turns.

use opentelemetry::trace::{TraceId, Tracer};
use redspan::sample::{
    AlwaysOff, AlwaysOn, Decision, Sampler, Sampling, adaptive, all_of, hinted, parent_based,
    rate_limited, rules, trace_id_ratio, when,
};
use redspan::{KeyValue, instrumented, testing};
use redspan_tests::{Random, process};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What comes by chance.
trait Arrivals {
    fn trace_id(&mut self) -> TraceId;

    /// From 0 to 1, without 0.
    fn unit(&mut self) -> f64;

    /// Nanoseconds to the next of arrivals that know nothing of each other.
    fn gap(&mut self, a_second: f64) -> u64;
}

impl Arrivals for Random {
    fn trace_id(&mut self) -> TraceId {
        TraceId::from(u128::from(self.next_u64()) << 64 | u128::from(self.next_u64()))
    }

    fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn gap(&mut self, a_second: f64) -> u64 {
        (-self.unit().ln() / a_second * 1e9) as u64
    }
}

#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn read(&self) -> impl Fn() -> Duration + Send + Sync + 'static {
        let now = Arc::clone(&self.0);
        move || Duration::from_nanos(now.load(Relaxed))
    }

    fn set(&self, now: u64) {
        self.0.store(now, Relaxed);
    }
}

const SECOND: u64 = 1_000_000_000;

/// The most events in any second, wherever it begins: it may begin at one of them.
fn most_in_a_second(times: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= SECOND {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

const SEED: u64 = 20_261_121;
const IDS: u64 = 1_000_000;
const RATIO: f64 = 0.03;

/// How many of a million ids are kept, and a hash over every decision.
fn decisions() -> (u64, u64) {
    let (mut random, mut hasher) = (Random(SEED), DefaultHasher::new());
    let sampler = trace_id_ratio(RATIO);
    let mut kept = 0;
    for _ in 0..IDS {
        let sampled = sampler.sample(&Sampling::new(random.trace_id(), "")) == Decision::Sample;
        kept += u64::from(sampled);
        hasher.write_u8(u8::from(sampled));
    }
    (kept, hasher.finish())
}

#[test]
fn processes_agree_on_a_million_traces_and_keep_the_ratio() {
    const TEST: &str = "processes_agree_on_a_million_traces_and_keep_the_ratio";
    let (kept, hash) = decisions();
    let line = format!("decided {kept} {hash:016x}");
    if process::is_alone(TEST) {
        return println!("{line}");
    }
    for _ in 0..2 {
        let printed = process::run(TEST, &[]);
        assert!(printed.lines().any(|printed| printed == line), "{line} here, there:\n{printed}");
    }
    // Four standard deviations of a fair draw.
    let error = 4.0 * (RATIO * (1.0 - RATIO) / IDS as f64).sqrt();
    assert!((kept as f64 / IDS as f64 - RATIO).abs() < error, "{kept}");
}

#[test]
fn what_a_small_ratio_records_a_larger_one_records_too() {
    let mut random = Random(SEED);
    let ratios = [0.001, 0.01, 0.1, 0.5, 1.0].map(trace_id_ratio);
    for _ in 0..100_000 {
        let id = random.trace_id();
        let sampled = ratios.each_ref().map(|ratio| ratio.sample(&Sampling::new(id, "")));
        let turns = sampled.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(turns <= 1 && sampled[4] == Decision::Sample, "{id}: {sampled:?}");
    }
}

#[test]
fn a_rate_limit_holds_over_any_second() {
    for limit in [0, 1, 7, 100, 2_500] {
        let (clock, mut random) = (Clock::default(), Random(SEED + u64::from(limit)));
        let sampler = rate_limited(limit).with_clock(clock.read());
        let (mut now, mut times, mut asked) = (5 * SECOND, Vec::new(), 0_u64);
        for load in [0.5, 50.0, 20_000.0, 90.0, 3_000.0] {
            let end = now + 5 * SECOND;
            while now < end {
                now += random.gap(load);
                // Now and then many at the same moment.
                for _ in 0..if random.next_u64().is_multiple_of(500) { 300 } else { 1 } {
                    clock.set(now);
                    asked += 1;
                    let span = Sampling::new(random.trace_id(), "");
                    if sampler.sample(&span) == Decision::Sample {
                        times.push(now);
                    }
                }
            }
        }
        let most = most_in_a_second(&times);
        assert!(most <= limit as usize, "{limit}: {most} in one second");
        // Nor is it stricter than it has to be: some second was full.
        assert!(most == limit as usize, "{limit}: never more than {most} of {asked}");
    }
}

#[test]
fn a_rate_limit_holds_between_threads() {
    let sampler = rate_limited(1_000);
    let start = std::time::Instant::now();
    let kept: usize = std::thread::scope(|threads| {
        let asking = || {
            let ids = std::iter::repeat_with(|| TraceId::from(1)).take(200_000);
            ids.filter(|id| sampler.sample(&Sampling::new(*id, "")) == Decision::Sample).count()
        };
        let all: Vec<_> = (0..4).map(|_| threads.spawn(asking)).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    let seconds = start.elapsed().as_secs() as usize + 1;
    assert!((1_000..=1_000 * seconds).contains(&kept), "{kept} in {seconds} s");
}

/// The phases of a load, in traces a second, one after the other; when which was recorded.
fn recorded(
    sampler: &dyn Sampler,
    clock: &Clock,
    phases: &[(f64, u64)],
    random: &mut Random,
) -> Vec<u64> {
    let (mut now, mut times) = (clock.0.load(Relaxed), Vec::new());
    for (load, seconds) in phases {
        let end = now + seconds * SECOND;
        loop {
            now += random.gap(*load);
            if now >= end {
                now = end;
                break;
            }
            clock.set(now);
            let span = Sampling::new(random.trace_id(), "");
            if sampler.sample(&span) == Decision::Sample {
                times.push(now);
            }
        }
    }
    clock.set(now);
    times
}

/// The fewest and the most of any second that begins at a tenth of a second from `from` on.
fn span_of_rates(times: &[u64], from: u64, to: u64) -> (usize, usize) {
    let starts = (from..=to - SECOND).step_by(SECOND as usize / 10);
    let counts = starts.map(|start| {
        let before = |moment| times.partition_point(|time| *time < moment);
        before(start + SECOND) - before(start)
    });
    counts.fold((usize::MAX, 0), |(least, most), count| (least.min(count), most.max(count)))
}

#[test]
fn adaptive_holds_its_target_across_a_hundredfold_step_and_back() {
    for target in [100.0, 400.0] {
        for seed in 0..10 {
            let (clock, mut random) = (Clock::default(), Random(SEED + seed));
            let sampler = adaptive(target).with_clock(clock.read()).with_dropped(|| 0);
            let low = target * 5.0;
            let phases = [(low, 10), (low * 100.0, 10), (low, 10)];
            let times = recorded(&sampler, &clock, &phases, &mut random);
            // Every second, those with a step in them too.
            let (least, most) = span_of_rates(&times, SECOND, 30 * SECOND);
            println!("target {target}, seed {seed}: {least} to {most} in a second");
            assert!(least as f64 >= target * 0.9, "{target}: {least} in one second");
            assert!(most as f64 <= target * 1.1, "{target}: {most} in one second");
        }
    }
}

#[test]
fn adaptive_records_all_while_there_are_fewer_than_its_target() {
    let (clock, mut random) = (Clock::default(), Random(SEED));
    let sampler = adaptive(100.0).with_clock(clock.read()).with_dropped(|| 0);
    let times = recorded(&sampler, &clock, &[(30.0, 60)], &mut random);
    assert!((1_600..2_000).contains(&times.len()), "{}", times.len());
    // And few traces a minute are a target too.
    let (clock, mut random) = (Clock::default(), Random(SEED));
    let sampler = adaptive(0.5).with_clock(clock.read()).with_dropped(|| 0);
    let times = recorded(&sampler, &clock, &[(500.0, 1_000)], &mut random);
    assert!((450..=550).contains(&times.len()), "{}", times.len());
}

#[test]
fn adaptive_holds_its_target_behind_a_ratio() {
    let (clock, mut random) = (Clock::default(), Random(SEED));
    let target = adaptive(100.0).with_clock(clock.read()).with_dropped(|| 0);
    let sampler = all_of((trace_id_ratio(0.1), target));
    let times = recorded(&sampler, &clock, &[(20_000.0, 20)], &mut random);
    let (least, most) = span_of_rates(&times, SECOND, 20 * SECOND);
    assert!(least >= 90 && most <= 110, "{least} to {most}");
}

#[test]
fn adaptive_decides_by_trace_id_within_a_period() {
    let (clock, mut random) = (Clock::default(), Random(SEED));
    let sampler = adaptive(1_000.0).with_clock(clock.read()).with_dropped(|| 0);
    recorded(&sampler, &clock, &[(50_000.0, 2)], &mut random);
    // One moment: the period does not end by itself, and few are far from far too many.
    let place = |id: TraceId| u128::from_be_bytes(id.to_bytes()) as u64;
    let (mut kept, mut not) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let id = random.trace_id();
        match sampler.sample(&Sampling::new(id, "")) {
            Decision::Sample => kept.push(place(id)),
            Decision::Drop => not.push(place(id)),
        }
    }
    assert!(!kept.is_empty() && !not.is_empty(), "{kept:?}");
    assert!(kept.iter().max() < not.iter().min(), "a share of the ids, and nothing else");
}

#[test]
fn adaptive_lowers_its_target_while_spans_are_dropped_and_recovers() {
    let (clock, mut random) = (Clock::default(), Random(SEED));
    let dropped = Arc::new(AtomicU64::new(7));
    let count = Arc::clone(&dropped);
    let under_pressure = Arc::new(AtomicU64::new(0));
    let pressed = Arc::clone(&under_pressure);
    let sampler = adaptive(200.0)
        .with_clock(clock.read())
        .with_dropped(move || count.fetch_add(pressed.load(Relaxed), Relaxed));
    let mut second = |load| recorded(&sampler, &clock, &[(load, 1)], &mut random).len();
    let calm: Vec<_> = (0..5).map(|_| second(5_000.0)).collect();
    assert!(calm[1..].iter().all(|kept| (180..=220).contains(kept)), "{calm:?}");
    under_pressure.store(3, Relaxed);
    let pressed: Vec<_> = (0..4).map(|_| second(5_000.0)).collect();
    assert!(pressed[0] < 160 && pressed[3] < 12, "{pressed:?}");
    under_pressure.store(0, Relaxed);
    let after: Vec<_> = (0..14).map(|_| second(5_000.0)).collect();
    assert!(after.windows(2).take(10).all(|pair| pair[0] < pair[1] + 10), "{after:?}");
    assert!((180..=220).contains(&after[13]), "{after:?}");
}

mod shop {
    use redspan::instrumented;

    pub(crate) mod payments {
        #[redspan::instrumented]
        pub(crate) fn charge() {
            super::below();
        }
    }

    #[instrumented(sample = "never")]
    pub(crate) fn health() {
        below();
    }

    #[instrumented(sample = "always", name = "checkout")]
    pub(crate) fn check_out() {
        below();
    }

    #[instrumented(sample = 0.25)]
    pub(crate) fn browse() {
        below();
    }

    #[instrumented(sample = "always")]
    pub(crate) fn below() {}
}

#[test]
fn one_sampler_decides_for_all_doors_by_route_and_attribute() {
    let sampler = parent_based(
        rules(AlwaysOff)
            .rule("health", when::route("/health*"), AlwaysOff)
            .rule("gold", when::attribute("tenant", "gold"), AlwaysOn)
            .rule("jobs", when::name("job.*"), AlwaysOn),
    );
    let ((), seen) = testing::sampled_by(sampler).scope(|| {
        let gold = KeyValue::new("tenant", "gold");
        let health = KeyValue::new("url.path", "/health/ready");
        let native = opentelemetry::global::tracer("native");
        for attributes in [vec![gold.clone(), health.clone()], vec![gold.clone()]] {
            let name = format!("native with {}", attributes.len());
            drop(native.span_builder(name).with_attributes(attributes).start(&native));
        }
        drop(tracing::info_span!("traced", tenant = "gold").entered());
        drop(tracing::info_span!("job.traced").entered());
        redspan::span("by hand").attribute("tenant", "gold").in_scope(|_| ());
        redspan::span("by hand").attribute("tenant", "lead").in_scope(|_| ());
    });
    let names: Vec<_> = seen.spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["native with 1", "traced", "job.traced", "by hand"]);
    assert_eq!((decided(&seen, "health", "drop"), decided(&seen, "gold", "sample")), (1, 3));
    assert_eq!((decided(&seen, "jobs", "sample"), decided(&seen, "always_off", "drop")), (1, 1));
}

#[test]
fn adaptive_holds_its_target_between_threads() {
    let sampler = adaptive(500.0);
    let start = std::time::Instant::now();
    let kept: usize = std::thread::scope(|threads| {
        let asking = |seed| {
            let (mut random, sampler) = (Random(seed), &sampler);
            move || {
                let mut kept = 0;
                while start.elapsed() < Duration::from_millis(1_500) {
                    let span = Sampling::new(random.trace_id(), "");
                    kept += usize::from(sampler.sample(&span) == Decision::Sample);
                }
                kept
            }
        };
        let all: Vec<_> = (0..4).map(|seed| threads.spawn(asking(seed))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    // A machine that has more to do than this gives the threads no even load.
    assert!((400..=1_100).contains(&kept), "{kept} in 1.5 s");
}

fn decided(seen: &testing::Seen, reason: &str, decision: &str) -> u64 {
    let labels = [("reason", reason), ("decision", decision)];
    seen.counter("redspan_sampler_decisions", &labels).unwrap_or(0)
}

#[test]
fn the_first_rule_that_fits_decides_and_is_the_reason() {
    let sampler = parent_based(
        rules(AlwaysOff)
            .rule("payments", when::module("samplers::shop::payments"), AlwaysOn)
            .rule("everything in the shop", when::module("samplers::shop"), AlwaysOff)
            .rule("too late", when::function("check_out"), AlwaysOn),
    );
    let ((), seen) = testing::sampled_by(sampler).scope(|| {
        shop::payments::charge();
        shop::check_out();
        redspan_outside();
    });
    assert_eq!(seen.tree(), "charge\n  below\n");
    assert_eq!(decided(&seen, "payments", "sample"), 1);
    assert_eq!(decided(&seen, "everything in the shop", "drop"), 1);
    assert_eq!(decided(&seen, "always_off", "drop"), 1);
    assert_eq!(decided(&seen, "too late", "sample"), 0);
    // What follows a local parent is not asked about.
    assert_eq!(decided(&seen, "local_parent", "sample"), 0);
    assert_eq!(seen.calls("below").ok, 2, "counted before sampled");
}

#[instrumented]
fn redspan_outside() {}

#[test]
fn a_hint_decides_about_the_traces_that_begin_with_its_function() {
    let ((), seen) = testing::sampled_by(parent_based(hinted(AlwaysOff))).scope(|| {
        shop::health();
        shop::payments::charge();
        shop::check_out();
        (0..4_000).for_each(|_| shop::browse());
    });
    assert_eq!(seen.spans_named("health").len() + seen.spans_named("charge").len(), 0);
    assert_eq!(seen.spans_named("checkout").len(), 1);
    let browsed = seen.spans_named("browse").len();
    assert!((850..1_150).contains(&browsed), "{browsed}");
    // "always" below an unsampled call does not tear a hole into the trace's decision.
    assert_eq!(seen.spans_named("below").len(), 1 + browsed);
    assert_eq!(decided(&seen, "hint", "sample"), 1 + browsed as u64);
    assert_eq!(decided(&seen, "always_off", "drop"), 1);
}

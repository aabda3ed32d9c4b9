use super::*;
use crate::metrics::recorder::recorder;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

fn page() -> String {
    recorder().render_openmetrics()
}

#[test]
fn values_are_shown_together_and_taken_back_when_they_are_no_longer_given() {
    let rounds = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&rounds);
    let collecting = collect("together", move |values: &mut Values| {
        let round = counted.fetch_add(1, Relaxed) + 1;
        values.counter("together.rounds").unit("{round}").set_u64(round);
        values.up_down_counter("together.doubled").set_u64(round * 2);
        values.gauge("together.at").unit("s").label("round", round.to_string()).set(1.5);
    });
    for _ in 0..2 {
        let page = page();
        // Other tests may look as well.
        let line = page.lines().find_map(|line| line.strip_prefix("together_rounds_total "));
        let round: u64 = line.expect(&page).parse().unwrap();
        assert!(page.contains(&format!("together_doubled {}\n", round * 2)), "{page}");
        assert!(
            page.contains(&format!("together_at_seconds{{round=\"{round}\"}} 1.5\n")),
            "{page}"
        );
        assert_eq!(page.matches("together_at_seconds{").count(), 1);
    }
    assert!(rounds.load(Relaxed) >= 2);
    collecting.stop();
    // Another test may have asked it just before, and is about to take back what it was given.
    let start = Instant::now();
    while page().contains("together_at_seconds{") {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", page());
    }
}

#[test]
fn a_total_that_is_no_number_is_not_known() {
    let known = Arc::new(AtomicBool::new(true));
    let is_known = Arc::clone(&known);
    let collecting = collect("unknown", move |values: &mut Values| {
        let value = if is_known.load(Relaxed) { 4.5 } else { f64::NAN };
        values.up_down_counter("unknown.open").set(value);
        values.counter("unknown.done").label("by", value.to_string()).set(value);
    });
    let before = page();
    assert!(before.contains("unknown_open 4.5\n"), "{before}");
    known.store(false, Relaxed);
    // Another test may have asked it just before, and is about to show what it was given.
    let start = Instant::now();
    while page().contains("unknown_open 4.5\n") {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", page());
    }
    let after = page();
    assert!(!after.contains("unknown_open ") && !after.contains("NaN"), "{after}");
    assert!(after.contains("unknown_done_total{by=\"4.5\"} 4.5\n"), "{after}");
    collecting.stop();
}

#[test]
fn one_that_fails_panics_or_hangs_disturbs_no_other() {
    struct Hangs(Arc<AtomicBool>);
    impl Collector for Hangs {
        fn collect(&self, values: &mut Values) -> Result<(), CollectError> {
            while !self.0.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            values.gauge("odd.hung").set(1.0);
            Ok(())
        }
        fn limit(&self) -> Duration {
            Duration::from_millis(30)
        }
    }
    struct Rude;
    impl Collector for Rude {
        fn collect(&self, values: &mut Values) -> Result<(), CollectError> {
            values.gauge("odd.rude").set(3.0);
            Ok(())
        }
        fn limit(&self) -> Duration {
            std::panic::resume_unwind(Box::new("rude"))
        }
    }
    let (fails, freed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let failing = Arc::clone(&fails);
    let all = [
        collect("odd hangs", Hangs(Arc::clone(&freed))),
        collect("odd limit", Rude),
        collect("odd fails", move |values: &mut Values| {
            values.gauge("odd.half").set(1.0);
            if failing.load(Relaxed) { Err("the disk is gone") } else { Ok(()) }
        }),
        collect("odd panics", |_: &mut Values| -> () {
            std::panic::resume_unwind(Box::new("odd"))
        }),
        collect("odd fine", |values: &mut Values| values.gauge("odd.fine").set(7.0)),
    ];
    let first = page();
    assert!(first.contains("odd_fine 7.0\n") && first.contains("odd_half 1.0\n"), "{first}");
    assert!(first.contains("odd_rude 3.0\n"), "{first}");
    fails.store(true, Relaxed);
    let second = page();
    assert!(second.contains("odd_fine 7.0\n"));
    assert!(!second.contains("odd_half 1.0\n"), "half of what belongs together is nothing");
    for (collector, error) in
        [("odd hangs", "timeout"), ("odd fails", "error"), ("odd panics", "panic")]
    {
        let line = format!(
            "redspan_collector_errors_total{{collector=\"{collector}\",error_type=\"{error}\"}} "
        );
        assert!(second.contains(&line), "{line} is not in\n{second}");
    }
    freed.store(true, Relaxed);
    let shown = || page().contains("odd_hung 1.0\n");
    assert!((0..1_000).any(|_| shown()), "it is asked again once it is done");
    all.into_iter().for_each(Collecting::stop);
}

//! What redspan holds in memory: a site, a site and thread, a record. The README states it.

use redspan::instrumented;
use redspan_tests::counting::{self, Counting};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Each of the tests looks at what the whole process holds.
static ALONE: Mutex<()> = Mutex::new(());

/// The budget: bytes a site, and bytes a site and thread that uses it.
const A_SITE: u64 = 4096;
const A_THREAD: u64 = 1024;

fn charge_of(site: &str) -> &'static redspan::CallSite {
    redspan::catalog().find(|it| it.function() == site).expect(site)
}

#[test]
fn a_site_and_its_first_thread_stay_below_the_budget() {
    #[instrumented]
    fn first() {}
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let fixed = size_of_val(charge_of("first")) as u64;
    let before = counting::bytes();
    first();
    first();
    // What the process makes once is among it.
    let grown = counting::bytes() - before;
    assert!(fixed + grown <= A_SITE + A_THREAD, "{fixed} and {grown} bytes");
}

#[test]
fn another_thread_costs_a_site_less_than_its_budget_and_a_later_one_nothing() {
    macro_rules! sites {
        ($($site:ident)*) => {
            $(#[instrumented] fn $site() {})*
            fn call_all() {
                $($site();)*
            }
            const SITES: u64 = [$(stringify!($site)),*].len() as u64;
        };
    }
    sites! { a b c d e f g h i j k l m n o p }
    const THREADS: u64 = 8;
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let round = || {
        let barrier = Barrier::new(THREADS as usize);
        let grown: Vec<u64> = std::thread::scope(|scope| {
            let one = || {
                // All of them live at one time.
                barrier.wait();
                let before = counting::bytes();
                call_all();
                let grown = counting::bytes() - before;
                barrier.wait();
                grown
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        grown.iter().sum::<u64>()
    };
    let first = round();
    let most = SITES * (A_SITE + THREADS * A_THREAD);
    assert!(first > 0 && first <= most, "{first} of {most} bytes");
    // 256 bytes each, as the README says.
    let each = (first - SITES * 1280) / (SITES * THREADS);
    assert!((192..=320).contains(&each), "{each} bytes a site and thread");
    // Their lanes are given to the threads that come after them; now and then one has not ended yet.
    let later: u64 = (0..5).map(|_| round()).sum();
    assert!(later <= first, "{later} bytes in five rounds after {first}");
}

#[test]
fn an_error_or_a_cancellation_costs_its_site_and_thread_once() {
    #[instrumented]
    fn fails() -> Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let _ = fails();
    let before = counting::bytes();
    for _ in 0..1_000 {
        let _ = fails();
    }
    assert_eq!(counting::bytes() - before, 0);
}

#[test]
fn ten_thousand_threads_one_after_the_other_leave_nothing_behind() {
    #[instrumented]
    fn brief() {}
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let run = |threads| {
        for _ in 0..threads {
            std::thread::spawn(brief).join().unwrap();
        }
    };
    run(100);
    let before = counting::held();
    run(if std::env::var("REDSPAN_LONG").is_ok() { 10_000 } else { 1_000 });
    std::thread::sleep(Duration::from_millis(1));
    let grown = counting::held().saturating_sub(before);
    assert!(grown <= 4096, "{grown} bytes");
}

#[test]
fn a_histogram_and_a_counter_take_what_is_stated() {
    const SERIES: u64 = 1_000;
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let recorder = redspan::recorder();
    let each = |make: &dyn Fn(&str)| {
        let before = counting::held();
        (0..SERIES).for_each(|user| make(&user.to_string()));
        (counting::held() - before) / SERIES
    };
    let (histogram, counter) = metrics::with_local_recorder(&recorder, || {
        let histogram = |user: &str| {
            metrics::histogram!("memory_wait", "user" => user.to_owned()).record(0.2);
        };
        let counter = |user: &str| {
            metrics::counter!("memory_orders", "user" => user.to_owned()).increment(1);
        };
        (each(&histogram), each(&counter))
    });
    println!("{histogram} bytes a histogram, {counter} a counter");
    // With one short label; thirty buckets of eight bytes each.
    assert!(histogram <= 30 * 8 + HISTOGRAM, "{histogram} bytes a histogram");
    assert!(counter <= COUNTER, "{counter} bytes a counter");
}

/// A histogram besides its buckets, and a counter: of a metric that is known, with one label.
const HISTOGRAM: u64 = 960;
const COUNTER: u64 = 400;

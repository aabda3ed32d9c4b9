//! What many sites hold that are all called on as many threads as have a place of their own.
//! `redspan::guide::cost` states it; `REDSPAN_LONG=1` measures ten thousand sites.

use redspan::__private::{Call, CallSite, REST, enter, fine};
use redspan_tests::counting::{self, Counting};
use std::sync::Barrier;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const THREADS: usize = 64;

#[test]
fn many_sites_on_sixty_four_threads_take_what_is_stated() {
    // Ten thousand functions would take the compiler minutes; a site is a static like these.
    let sites = if std::env::var("REDSPAN_LONG").is_ok() { 10_000 } else { 500 };
    let site = |_| CallSite {
        name: "of_many",
        function: "of_many",
        module: "memory",
        file: "memory.rs",
        line: 1,
        fields: &[],
        rest: REST,
    };
    let before = counting::held();
    let all: &'static [CallSite] = Vec::leak((0..sites).map(site).collect());
    let barrier = Barrier::new(THREADS);
    let call_all = || {
        // All of them live at one time.
        barrier.wait();
        for site in all {
            let mut call = enter(site);
            Call::finish(&mut call, fine());
        }
        barrier.wait();
        let held = counting::held();
        barrier.wait();
        held
    };
    let held = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(call_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    let grown = held.unwrap() - before;
    let stated = sites as u64 * (size_of::<CallSite>() as u64 + 1280 + THREADS as u64 * 256);
    println!("{sites} sites on {THREADS} threads: {grown} bytes, stated {stated}");
    // The threads themselves take some.
    let most = stated + stated / 50 + THREADS as u64 * 4_096;
    assert!((stated / 2..=most).contains(&grown), "{grown} of {stated} bytes");
}

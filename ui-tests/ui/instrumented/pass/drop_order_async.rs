//! As in the sync case, with an await in the middle, run to the end and cancelled.
#![deny(warnings)]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};

thread_local!(static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

struct D(&'static str);

impl D {
    fn temporary(&self) -> D {
        D("temporary")
    }
    fn name(&self) -> usize {
        self.0.len()
    }
}

impl Drop for D {
    fn drop(&mut self) {
        LOG.with(|log| log.borrow_mut().push(self.0));
    }
}

struct Parts {
    a: D,
    b: D,
}

macro_rules! both {
    ($(fn $name:ident($($param:tt)*) -> usize $body:block)*) => {
        mod bare { use super::*; $(pub async fn $name($($param)*) -> usize $body)* }
        mod ours { use super::*; $(#[redspan::instrumented] pub async fn $name($($param)*) -> usize $body)* }
    };
}

both! {
    fn unused(_a: D, _: D, (_b, _): (D, D), Parts { a: _c, b: _ }: Parts, _z: D) -> usize {
        let _local = D("local");
        pause().await;
        1
    }
    fn moved(a: D, (b, c): (D, D), z: D) -> usize {
        let _local = D("local");
        pause().await;
        drop(b);
        drop(a);
        let _ = (&c, z);
        2
    }
    fn tail(a: D, _: D) -> usize {
        let local = D("local");
        pause().await;
        let _ = &local;
        a.temporary().name()
    }
    fn early(a: D, mut b: D) -> usize {
        b.0 = "changed";
        pause().await;
        if a.name() > 0 {
            return b.name();
        }
        3
    }
}

#[redspan::instrumented(fields(z = z.0, b = b.0))]
async fn recorded(a: D, (b, _): (D, D), z: D) -> usize {
    let _ = (&a, &b, &z);
    pause().await;
    1
}

async fn bare_recorded(a: D, (b, _): (D, D), z: D) -> usize {
    let _ = (&a, &b, &z);
    pause().await;
    1
}

struct Service {
    a: D,
    b: D,
}

impl Service {
    async fn bare(self, _x: D, _: D) -> usize {
        drop(self.a);
        pause().await;
        4
    }
    #[redspan::instrumented]
    async fn ours(self, _x: D, _: D) -> usize {
        drop(self.a);
        pause().await;
        4
    }
    async fn bare_boxed(self: Box<Self>, x: D) -> usize {
        pause().await;
        self.b.name() + x.name()
    }
    #[redspan::instrumented]
    async fn ours_boxed(self: Box<Self>, x: D) -> usize {
        pause().await;
        self.b.name() + x.name()
    }
    async fn bare_unused(self, _x: D) -> usize {
        pause().await;
        5
    }
    #[redspan::instrumented]
    async fn ours_unused(self, _x: D) -> usize {
        pause().await;
        5
    }
}

/// Pending once.
async fn pause() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

type Seen = (Option<usize>, Vec<&'static str>, Vec<&'static str>);

/// What was dropped up to the end of the second poll, and what with the future; with one poll
/// only, the future is cancelled.
fn run<F: Future<Output = usize>>(call: impl Fn() -> F) -> [Seen; 3] {
    [0, 1, 2].map(|polls| {
        let mut future = Box::pin(call());
        let mut out = None;
        for _ in 0..polls {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                out = Some(value);
            }
        }
        let before = LOG.take();
        drop(future);
        (out, before, LOG.take())
    })
}

fn parts() -> Parts {
    Parts { a: D("parts.a"), b: D("parts.b") }
}

fn service() -> Service {
    Service { a: D("self.a"), b: D("self.b") }
}

fn main() {
    let pair = || (D("pair.0"), D("pair.1"));
    assert_eq!(
        run(|| bare::unused(D("a"), D("wild"), pair(), parts(), D("z"))),
        run(|| ours::unused(D("a"), D("wild"), pair(), parts(), D("z"))),
    );
    assert_eq!(
        run(|| bare::moved(D("a"), pair(), D("z"))),
        run(|| ours::moved(D("a"), pair(), D("z"))),
    );
    assert_eq!(run(|| bare::tail(D("a"), D("wild"))), run(|| ours::tail(D("a"), D("wild"))));
    assert_eq!(run(|| bare::early(D("a"), D("b"))), run(|| ours::early(D("a"), D("b"))));
    assert_eq!(
        run(|| bare_recorded(D("a"), pair(), D("z"))),
        run(|| recorded(D("a"), pair(), D("z"))),
    );
    assert_eq!(
        run(|| service().bare(D("x"), D("wild"))),
        run(|| service().ours(D("x"), D("wild"))),
    );
    assert_eq!(
        run(|| Box::new(service()).bare_boxed(D("x"))),
        run(|| Box::new(service()).ours_boxed(D("x"))),
    );
    assert_eq!(run(|| service().bare_unused(D("x"))), run(|| service().ours_unused(D("x"))));
    assert_eq!(run(|| ours::unused(D("a"), D("wild"), pair(), parts(), D("z")))[2].1.len(), 8);
    let _ = (service().b, parts().b);
}

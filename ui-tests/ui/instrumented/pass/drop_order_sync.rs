//! Parameters live as long and drop in the same order as in the bare function.
#![deny(warnings)]

use std::cell::RefCell;

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
        mod bare { use super::*; $(pub fn $name($($param)*) -> usize $body)* }
        mod ours { use super::*; $(#[redspan::instrumented] pub fn $name($($param)*) -> usize $body)* }
    };
}

both! {
    fn unused(_a: D, _: D, (_b, _): (D, D), Parts { a: _c, b: _ }: Parts, _z: D) -> usize {
        let _local = D("local");
        1
    }
    fn moved(a: D, (b, c): (D, D), z: D) -> usize {
        let _local = D("local");
        drop(b);
        drop(a);
        let _ = (&c, z);
        2
    }
    fn tail(a: D, _: D) -> usize {
        let local = D("local");
        let _ = &local;
        a.temporary().name()
    }
    fn early(a: D, mut b: D) -> usize {
        b.0 = "changed";
        if a.name() > 0 {
            return b.name();
        }
        3
    }
}

struct Service {
    a: D,
    b: D,
}

impl Service {
    fn bare(self, _x: D, _: D) -> usize {
        drop(self.a);
        4
    }
    #[redspan::instrumented]
    fn ours(self, _x: D, _: D) -> usize {
        drop(self.a);
        4
    }
    fn bare_boxed(self: Box<Self>, x: D) -> usize {
        self.b.name() + x.name()
    }
    #[redspan::instrumented]
    fn ours_boxed(self: Box<Self>, x: D) -> usize {
        self.b.name() + x.name()
    }
    fn bare_unused(self, _x: D) -> usize {
        5
    }
    #[redspan::instrumented]
    fn ours_unused(self, _x: D) -> usize {
        5
    }
}

fn run(call: impl FnOnce() -> usize) -> (usize, Vec<&'static str>) {
    let out = call();
    (out, LOG.take())
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
        run(|| service().bare(D("x"), D("wild"))),
        run(|| service().ours(D("x"), D("wild"))),
    );
    assert_eq!(
        run(|| Box::new(service()).bare_boxed(D("x"))),
        run(|| Box::new(service()).ours_boxed(D("x"))),
    );
    assert_eq!(run(|| service().bare_unused(D("x"))), run(|| service().ours_unused(D("x"))));
    assert_eq!(run(|| ours::unused(D("a"), D("wild"), pair(), parts(), D("z"))).1.len(), 8);
    let _ = (service().b, parts().b);
}

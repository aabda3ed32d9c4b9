//! `#[track_caller]` names the caller, as without the attribute, where nothing in the body returns early.
#![deny(warnings)]

use redspan::instrumented;
use std::panic::Location;

#[instrumented]
#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

#[track_caller]
#[instrumented(fields(a, b))]
fn below((a, b): (u32, u32), _permit: String) -> Option<&'static Location<'static>> {
    assert_eq!(a, b, "the same");
    let equal = if a != b || !(a == b) { None } else { Some(()) };
    equal.map(|()| Location::caller());
    Some(Location::caller())
}

struct Items(Vec<u8>);

#[instrumented]
impl Items {
    #[track_caller]
    fn last(&mut self) -> &mut dyn std::fmt::Debug {
        let _ = Location::caller();
        self.0.last_mut().unwrap()
    }

    #[track_caller]
    fn nothing(&self) {
        let _ = self.0[0];
    }

    #[track_caller]
    fn never(self) -> ! {
        panic!("{}", Location::caller().line())
    }
}

/// With an early return the body is a closure, which has another caller: the line is that of the body.
#[instrumented]
#[track_caller]
fn early(early: bool) -> u32 {
    if early {
        return Location::caller().line();
    }
    0
}

fn main() {
    assert_eq!(line(), line!());
    assert_eq!(below((1, 1), String::new()).map(Location::line), Some(line!()));
    let mut items = Items(vec![1]);
    assert_eq!(format!("{:?}", items.last()), "1");
    items.nothing();
    let expected = line!() + 1;
    let caught = std::panic::catch_unwind(|| items.never());
    let said = caught.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*said, expected.to_string());
    assert_eq!(early(true), 48);
}

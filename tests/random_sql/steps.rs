//! What a program consists of.

use crate::queries::Query;
use redspan_tests::Random;
use std::sync::Arc;

/// How deep, and how many within one.
pub(crate) const DEEP: u32 = 3;
const WIDE: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Works {
    Well,
    Fails,
    Panics,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Committed,
    RolledBack,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Back {
    Dropped,
    Closed,
    ClosedOnDrop,
    Detached,
    Leaked,
}

/// Where something is done, and for how many polls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) is_sampled: bool,
    pub(crate) is_in_call: bool,
    pub(crate) shows_waits: bool,
    pub(crate) polls: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ask(Around, Query),
    /// Whatever a user does with a connection, in so many turns.
    Operation(Around, usize, Works),
    Begin(Around, Steps, Around, Over),
    TryBegin(Around, Steps, Around, Over),
    Acquire(Around, Steps, Around, Back),
    TryAcquire(Steps, Around, Back),
    /// Of the pool, whatever is held.
    OfPool(Steps),
    Join(Vec<Steps>, u64),
    Yield,
    Panic,
    Close,
}

pub(crate) type Steps = Arc<[Step]>;

fn around(random: &mut Random) -> Around {
    Around {
        is_sampled: random.below(4) > 0,
        is_in_call: random.below(2) == 0,
        shows_waits: random.below(3) > 0,
        polls: if random.below(4) == 0 { random.below(5) } else { usize::MAX },
    }
}

pub(crate) fn steps(random: &mut Random, closes: bool, deep: u32) -> Steps {
    let count = random.below(WIDE + 1);
    (0..count).map(|_| step(random, closes, deep)).collect()
}

fn step(random: &mut Random, closes: bool, deep: u32) -> Step {
    let kind = if deep == 0 { random.below(7) } else { random.below(18) };
    let (first, last) = (around(random), around(random));
    let over = random.of(&[Over::Committed, Over::RolledBack, Over::Dropped]);
    // A pool whose connections were leaked waits for them when it is closed.
    let gone = if closes { Back::Dropped } else { Back::Leaked };
    let back = [Back::Dropped, Back::Closed, Back::ClosedOnDrop, Back::Detached, gone];
    let back = if random.below(2) == 0 { Back::Dropped } else { random.of(&back) };
    let works = random.of(&[Works::Well, Works::Fails, Works::Panics]);
    let (query, number) = (Query::by_chance(random), random.next_u64());
    let mut inside = || steps(random, closes, deep - 1);
    match kind {
        0..=3 => Step::Ask(first, query),
        4 => Step::Operation(first, (number % 4) as usize, works),
        5 => Step::Yield,
        6 => match number % 6 {
            0 if closes => Step::Close,
            1 => Step::Panic,
            _ => Step::Yield,
        },
        7..=9 => Step::Begin(first, inside(), last, over),
        10 => Step::TryBegin(first, inside(), last, over),
        11..=13 => Step::Acquire(first, inside(), last, back),
        14 => Step::TryAcquire(inside(), last, back),
        15 => Step::OfPool(inside()),
        _ => Step::Join(vec![inside(), inside()], number),
    }
}

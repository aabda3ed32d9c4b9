//! The numbers of one site, told apart by its labels.
//!
//! What the labels may say is learned from the first call: a closed set is known by the type of an
//! expression, which a static cannot name. From then on a label set is an index, computed without
//! hashing; only values under a cap are looked up.

use super::{Bounds, Cells, DEFAULT, Red};
use crate::exemplar::Exemplar;
use crate::label::OVERFLOW;
use crate::outcome::Outcome;
use std::collections::HashSet;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// What a call says for one label.
#[derive(Clone, Copy)]
pub enum Choice<'a> {
    /// A value of a closed set.
    Closed {
        /// Which one.
        index: usize,
        /// The set.
        values: &'static [&'static str],
    },
    /// Any text, of which `most` are told apart.
    Capped {
        /// The value.
        value: &'a dyn fmt::Display,
        /// The cap.
        most: u32,
    },
}

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choice")
    }
}

/// Label sets of one site that are told apart; with more, the labels that come last are given up.
pub(crate) const MOST: usize = 4096;

/// Up to as many label sets are shown before they are seen.
const SHOWN_UNSEEN: usize = 64;

/// Bytes of a value under a cap; the rest is cut.
const MOST_TEXT: usize = 128;

/// Where a call is counted: by the labels known at its start, and by those of the returned value.
/// Zero stands for no labels at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) given: u32,
    pub(crate) returned: u32,
}

/// The numbers of one site.
pub(crate) struct Table {
    plain: Node,
    given: OnceLock<Given>,
    returned: OnceLock<Sets>,
}

/// What calls can begin with, and their numbers.
struct Given {
    sets: Sets,
    nodes: Lazy<Node>,
}

/// A table whose places are made when they are needed.
type Lazy<T> = Box<[OnceLock<Box<T>>]>;

/// Calls that began with the same labels.
struct Node {
    cells: Cells,
    /// Of those that returned, by the labels of the value. Only ends are counted there.
    returned: OnceLock<Lazy<Cells>>,
}

impl Node {
    const fn new() -> Self {
        Node { cells: Cells::new(), returned: OnceLock::new() }
    }

    fn ends(&self, sets: Option<&Sets>, returned: u32) -> &Cells {
        let (Some(sets), Some(index)) = (sets, (returned as usize).checked_sub(1)) else {
            return &self.cells;
        };
        let table = self.returned.get_or_init(|| empty(sets.size));
        table.get(index).map_or(&self.cells, |cells| cells.get_or_init(|| Box::new(Cells::new())))
    }
}

fn empty<T>(size: usize) -> Lazy<T> {
    (0..size).map(|_| OnceLock::new()).collect()
}

/// Calls of one label set.
#[derive(Debug)]
pub(crate) struct Series {
    /// The values of the labels known at the start; empty for none.
    pub(crate) given: Vec<Value>,
    /// The values of the labels of the returned value; empty while there is none.
    pub(crate) returned: Vec<Value>,
    pub(crate) red: Red,
}

/// A label's value.
pub(crate) type Value = std::borrow::Cow<'static, str>;

impl Table {
    pub(crate) const fn new() -> Self {
        Table { plain: Node::new(), given: OnceLock::new(), returned: OnceLock::new() }
    }

    /// Where calls with these labels are counted.
    pub(crate) fn given(&self, choices: &[Choice<'_>]) -> u32 {
        let given = self.given.get_or_init(|| {
            let sets = Sets::learn(choices, MOST);
            let nodes = empty(sets.size);
            Given { sets, nodes }
        });
        given.sets.index(choices)
    }

    /// Where calls are counted that returned a value with these labels.
    pub(crate) fn returned(&self, choices: &[Choice<'_>]) -> u32 {
        let given = self.given.get().map_or(1, |given| given.sets.size);
        self.returned.get_or_init(|| Sets::learn(choices, MOST / given.max(1))).index(choices)
    }

    fn node(&self, given: u32) -> &Node {
        let Some(index) = (given as usize).checked_sub(1) else { return &self.plain };
        match self.given.get().and_then(|given| given.nodes.get(index)) {
            Some(node) => node.get_or_init(|| Box::new(Node::new())),
            None => &self.plain,
        }
    }

    #[inline]
    pub(crate) fn start(&self, given: u32) {
        if given == 0 { self.plain.cells.start() } else { self.node(given).cells.start() }
    }

    #[inline]
    pub(crate) fn end(&self, place: Place, bounds: &Bounds, outcome: Outcome, duration: Duration) {
        if place == Place::default() {
            self.plain.cells.end(bounds, outcome, duration);
        } else {
            self.cells(place).end(bounds, outcome, duration);
        }
    }

    /// Publishes the exemplar of a call whose span was handed over.
    pub(crate) fn publish(
        &self,
        place: Place,
        bounds: &Bounds,
        outcome: Outcome,
        duration: Duration,
        exemplar: Exemplar,
    ) {
        self.cells(place).publish(bounds, outcome, duration, exemplar);
    }

    pub(crate) fn cells(&self, place: Place) -> &Cells {
        self.node(place.given).ends(self.returned.get(), place.returned)
    }

    /// All of the site's calls together.
    pub(crate) fn read(&self, bounds: &'static Bounds) -> Red {
        let mut all = Red::new(bounds);
        self.visit(|_, _, cells| all.merge(&cells.read(bounds)));
        all
    }

    /// Ends before starts (`Cells::read`): a node's own cells, which have the starts, come last.
    fn visit<'a>(&'a self, mut visit: impl FnMut(usize, usize, &'a Cells)) {
        let labelled =
            self.given.get().into_iter().flat_map(|given| given.nodes.iter().enumerate());
        let labelled = labelled.filter_map(|(at, node)| Some((at + 1, &**node.get()?)));
        for (given, node) in labelled.chain([(0, &self.plain)]) {
            for (at, cells) in node.returned.get().into_iter().flatten().enumerate() {
                if let Some(cells) = cells.get() {
                    visit(given, at + 1, cells);
                }
            }
            visit(given, 0, &node.cells);
        }
    }

    /// The numbers by label set. Where there are few sets, also those that were not seen yet: a rate
    /// needs the zero before the first call.
    pub(crate) fn series(&self, bounds: &'static Bounds) -> Vec<Series> {
        let given = self.given.get().map(|given| &given.sets);
        let returned = self.returned.get();
        let series = |from: usize, to: usize, red| {
            let place = Place { given: from as u32, returned: to as u32 };
            let (given, returned) = self.values(place);
            Series { given, returned, red }
        };
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        self.visit(|from, to, cells| {
            let red = cells.read(bounds);
            // Before the first call a site with labels is one series without.
            let idle = red.started == 0 && red.finished() == 0;
            if from == 0 && idle && (given.is_some() || to != 0) {
                return;
            }
            if given.is_some() || returned.is_some() {
                seen.insert((from, to));
            }
            all.push(series(from, to, red));
        });
        let froms = given.map_or(0..1, |sets| 1..sets.size + 1);
        let tos = 0..returned.map_or(1, |sets| sets.size + 1);
        if (given.is_none() && returned.is_none()) || froms.len() * tos.len() > SHOWN_UNSEEN {
            return all;
        }
        for (from, to) in froms.flat_map(|from| tos.clone().map(move |to| (from, to))) {
            let closed = |sets: Option<&Sets>, at: usize| match (sets, at.checked_sub(1)) {
                (Some(sets), Some(at)) => sets.is_closed(at),
                _ => true,
            };
            if closed(given, from) && closed(returned, to) && !seen.contains(&(from, to)) {
                all.push(series(from, to, Red::new(bounds)));
            }
        }
        all
    }

    /// The cells where starts are counted of calls with these labels.
    pub(crate) fn starts(&self, given: u32) -> &Cells {
        &self.node(given).cells
    }

    /// Visits all cells that are in use.
    pub(crate) fn each(&self, mut visit: impl FnMut(Place, &Cells)) {
        self.visit(|given, returned, cells| {
            // Once labels are known, nothing more is counted without.
            let plain = given == 0 && self.given.get().is_some();
            if plain && cells.read(&DEFAULT).started == 0 {
                return;
            }
            visit(Place { given: given as u32, returned: returned as u32 }, cells);
        });
    }

    /// The values of the labels that stand for a place: those known at the start, and those of the
    /// returned value.
    pub(crate) fn values(&self, place: Place) -> (Vec<Value>, Vec<Value>) {
        let of = |sets: Option<&Sets>, place: u32| match (sets, (place as usize).checked_sub(1)) {
            (Some(sets), Some(index)) => sets.values(index),
            _ => Vec::new(),
        };
        let given = self.given.get().map(|given| &given.sets);
        (of(given, place.given), of(self.returned.get(), place.returned))
    }
}

/// What several labels may say together: numbers from zero to `size`, in mixed radix.
struct Sets {
    sets: Box<[Set]>,
    size: usize,
}

enum Set {
    /// With one more for what is not in it: a generic function's label has another set for each type.
    Closed(&'static [&'static str]),
    /// With one more for all that found no place.
    Capped(Capped),
    /// Given up: the sets before it have used the room.
    Full,
}

impl Set {
    fn size(&self) -> usize {
        match self {
            Set::Closed(values) => values.len() + 1,
            Set::Capped(capped) => capped.most as usize + 1,
            Set::Full => 1,
        }
    }

    fn index(&self, choice: &Choice<'_>) -> usize {
        match (self, choice) {
            (Set::Closed(known), Choice::Closed { index, values }) => {
                let value = values.get(*index);
                if value.is_some() && known.get(*index) == value {
                    return *index;
                }
                let found = value.and_then(|value| known.iter().position(|one| one == value));
                found.unwrap_or(known.len())
            }
            (Set::Capped(capped), Choice::Capped { value, .. }) => capped.index(*value),
            (Set::Closed(known), Choice::Capped { .. }) => known.len(),
            (Set::Capped(capped), Choice::Closed { .. }) => capped.most as usize,
            (Set::Full, _) => 0,
        }
    }

    fn value(&self, index: usize) -> Value {
        match self {
            Set::Closed(values) => Value::Borrowed(values.get(index).copied().unwrap_or(OVERFLOW)),
            Set::Capped(capped) => capped.value(index),
            Set::Full => Value::Borrowed(OVERFLOW),
        }
    }
}

impl Sets {
    fn learn(choices: &[Choice<'_>], room: usize) -> Self {
        let mut size = 1;
        let sets = choices.iter().map(|choice| {
            let set = match *choice {
                Choice::Closed { values, .. } => Set::Closed(values),
                Choice::Capped { most, .. } => Set::Capped(Capped::new(most)),
            };
            let set = if size * set.size() > room { Set::Full } else { set };
            size *= set.size();
            set
        });
        Sets { sets: sets.collect(), size }
    }

    /// Where this label set stands, from one.
    fn index(&self, choices: &[Choice<'_>]) -> u32 {
        let at = self
            .sets
            .iter()
            .zip(choices)
            .fold(0, |at, (set, choice)| at * set.size() + set.index(choice));
        u32::try_from(at + 1).unwrap_or(0)
    }

    fn digits(&self, mut index: usize) -> impl Iterator<Item = (&Set, usize)> {
        let mut digits: Vec<_> = self
            .sets
            .iter()
            .rev()
            .map(|set| {
                let digit = index % set.size();
                index /= set.size();
                (set, digit)
            })
            .collect();
        digits.reverse();
        digits.into_iter()
    }

    fn values(&self, index: usize) -> Vec<Value> {
        self.digits(index).map(|(set, digit)| set.value(digit)).collect()
    }

    /// Whether all of it is known without having been seen.
    fn is_closed(&self, index: usize) -> bool {
        self.digits(index).all(|(set, digit)| match set {
            Set::Closed(values) => digit < values.len(),
            Set::Capped(_) | Set::Full => false,
        })
    }
}

/// A text and its number.
type Known = (Box<str>, u32);

/// The first texts that came, up to a number; without a lock.
struct Capped {
    /// Twice as many as texts: a search ends at the first empty one.
    slots: Box<[OnceLock<Known>]>,
    used: AtomicU32,
    most: u32,
}

impl Capped {
    fn new(most: u32) -> Self {
        let slots = (0..(most as usize * 2).next_power_of_two()).map(|_| OnceLock::new()).collect();
        Capped { slots, used: AtomicU32::new(0), most }
    }

    fn index(&self, value: &dyn fmt::Display) -> usize {
        self.find(Text::of(value).as_str()).min(self.most) as usize
    }

    fn find(&self, text: &str) -> u32 {
        let start = hash(text);
        for step in 0..self.slots.len() {
            let Some(slot) = self.slots.get((start + step) & (self.slots.len() - 1)) else { break };
            if slot.get().is_none() && self.used.load(Relaxed) >= self.most {
                break;
            }
            // Threads that race for the last number may count it up further; what they found no
            // number for is remembered as such.
            let (known, index) =
                slot.get_or_init(|| (text.into(), self.used.fetch_add(1, Relaxed)));
            if **known == *text {
                return *index;
            }
        }
        self.most
    }

    fn value(&self, index: usize) -> Value {
        let found = self.slots.iter().filter_map(OnceLock::get);
        let mut found = found.filter(|(_, at)| *at < self.most && *at as usize == index);
        let found = found.next().map(|(text, _)| Value::Owned(text.to_string()));
        found.unwrap_or(Value::Borrowed(OVERFLOW))
    }
}

/// FNV-1a: short texts, few of them.
fn hash(text: &str) -> usize {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize
}

/// A text on the stack.
pub(super) struct Text {
    bytes: [u8; MOST_TEXT],
    length: usize,
}

impl Text {
    pub(super) fn of(value: &dyn fmt::Display) -> Text {
        let mut text = Text { bytes: [0; MOST_TEXT], length: 0 };
        // Rendering is user code; an error means that the text was cut.
        let _ = catch_unwind(AssertUnwindSafe(|| write!(text, "{value}")));
        text
    }

    pub(super) fn as_str(&self) -> &str {
        // Cut between characters only, so it is always valid.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.bytes.len() - self.length;
        let fits = more.floor_char_boundary(room);
        self.bytes[self.length..self.length + fits].copy_from_slice(&more.as_bytes()[..fits]);
        self.length += fits;
        if fits < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIERS: &[&str] = &["free", "paid"];

    fn closed(index: usize) -> Choice<'static> {
        Choice::Closed { index, values: TIERS }
    }

    fn capped<'a>(value: &'a &'a str, most: u32) -> Choice<'a> {
        Choice::Capped { value, most }
    }

    fn shown(table: &Table) -> Vec<(String, u64, u64)> {
        let mut shown: Vec<_> = table
            .series(&Bounds::DEFAULT)
            .iter()
            .map(|series| {
                let labels = [series.given.join(","), series.returned.join(",")].join("/");
                (labels, series.red.started, series.red.finished())
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn without_labels_there_is_one_series() {
        let table = Table::new();
        assert_eq!(shown(&table), [("/".to_owned(), 0, 0)]);
        table.start(0);
        table.end(Place::default(), &Bounds::DEFAULT, Outcome::Ok, Duration::ZERO);
        assert_eq!(shown(&table), [("/".to_owned(), 1, 1)]);
    }

    #[test]
    fn few_closed_label_sets_are_shown_before_they_are_seen() {
        let table = Table::new();
        let given = table.given(&[closed(1), closed(0)]);
        table.start(given);
        assert_eq!(
            shown(&table),
            [("free,free/", 0), ("free,paid/", 0), ("paid,free/", 1), ("paid,paid/", 0)]
                .map(|(labels, started)| (labels.to_owned(), started, 0))
        );
        let returned = table.returned(&[closed(1)]);
        table.end(Place { given, returned }, &Bounds::DEFAULT, Outcome::Ok, Duration::ZERO);
        assert!(shown(&table).contains(&("paid,free/paid".to_owned(), 0, 1)));
        assert!(shown(&table).contains(&("free,free/free".to_owned(), 0, 0)));
        let all = table.read(&Bounds::DEFAULT);
        assert_eq!((all.started, all.finished()), (1, 1));
    }

    #[test]
    fn over_the_cap_all_share_one_value_and_known_ones_keep_theirs() {
        let table = Table::new();
        for text in ["a", "b", "c", "d", "a", "b"] {
            table.start(table.given(&[capped(&text, 2)]));
        }
        let expected = [("__overflow__/", 2), ("a/", 2), ("b/", 2)];
        assert_eq!(shown(&table), expected.map(|(labels, n)| (labels.to_owned(), n, 0)));
    }

    #[test]
    fn many_threads_never_find_more_values_than_the_cap() {
        let table = Table::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for value in 0..200 {
                        let text = format!("tenant-{value}");
                        table.start(table.given(&[Choice::Capped { value: &text, most: 20 }]));
                    }
                });
            }
        });
        let shown = shown(&table);
        assert_eq!(shown.iter().map(|(_, started, _)| started).sum::<u64>(), 1_600);
        assert!(shown.len() <= 21, "{shown:?}");
        let named = shown.iter().filter(|(labels, ..)| !labels.starts_with(OVERFLOW));
        // Who looks for a value while another thread gives it the last number counts as overflow.
        let seen = named.clone().all(|(_, started, _)| (1..=8).contains(started));
        assert!(named.count() >= 12 && seen, "{shown:?}");
    }

    #[test]
    fn more_label_sets_than_are_told_apart_give_up_the_last_labels() {
        let table = Table::new();
        let x = "x";
        let choices = [capped(&x, 999), closed(0), closed(1), capped(&x, 5)];
        table.start(table.given(&choices));
        let series = table.series(&Bounds::DEFAULT);
        assert_eq!(series[0].given, ["x", "free", OVERFLOW, OVERFLOW]);
    }

    #[test]
    fn another_set_than_the_first_finds_its_values_or_overflows() {
        let table = Table::new();
        table.start(table.given(&[closed(0)]));
        for index in 0..4 {
            let values = &["paid", "gold", "free"];
            table.start(table.given(&[Choice::Closed { index, values }]));
        }
        let expected = [("__overflow__/", 2), ("free/", 2), ("paid/", 1)];
        assert_eq!(shown(&table), expected.map(|(labels, n)| (labels.to_owned(), n, 0)));
    }

    #[test]
    fn long_values_and_those_that_panic_are_bounded() {
        struct Angry;
        impl fmt::Display for Angry {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("rendered")
            }
        }
        let table = Table::new();
        let long = "ü".repeat(100);
        table.start(table.given(&[Choice::Capped { value: &long, most: 9 }]));
        table.start(table.given(&[Choice::Capped { value: &Angry, most: 9 }]));
        let expected = [(String::from("/"), 1, 0), (format!("{}/", "ü".repeat(64)), 1, 0)];
        assert_eq!(shown(&table), expected);
    }
}

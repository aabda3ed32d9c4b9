//! The numbers of one site, told apart by its labels.
//!
//! What the labels may say is learned from the first call: a closed set is known by the type of an
//! expression, which a static cannot name. From then on a label set is an index, computed without
//! hashing; only values under a cap are looked up.

use super::callers::{Caller, Callers, Names};
use super::sets::Sets;
pub(crate) use super::sets::{Choice, Value};
use super::{Bounds, Cells, DEFAULT, Red};
use crate::outcome::Outcome;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Label sets of one site that are told apart; with more, the labels that come last are given up.
pub(crate) const MOST: usize = 4096;

/// Up to as many label sets are shown before they are seen.
const SHOWN_UNSEEN: usize = 64;

/// Where a call is counted: by what is known when it begins, and by the labels of the returned value. Zero
/// stands for no labels at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) begun: Begun,
    pub(crate) returned: u32,
}

/// What is known of a call when it begins: its labels, and who called it. In one number, since most calls
/// have neither and look at it all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun(u32);

impl Begun {
    const CALLER: u32 = 16;
    const KNOWN: u32 = 1 << 31;

    /// With these labels, and called by nobody.
    #[inline]
    pub(crate) fn with(given: u32) -> Self {
        Begun(given)
    }

    /// The same, called by this one.
    pub(crate) fn by(self, caller: u32) -> Self {
        Begun(self.given() | caller << Self::CALLER)
    }

    /// The same, of a call that those know of which it calls: not a matter of where it is counted.
    pub(crate) fn known(self) -> Self {
        Begun(self.0 | Self::KNOWN)
    }

    #[inline]
    pub(crate) fn is_known(self) -> bool {
        self.0 & Self::KNOWN != 0
    }

    /// Where it is counted.
    #[inline]
    pub(crate) fn counted(self) -> Self {
        Begun(self.0 & !Self::KNOWN)
    }

    #[inline]
    pub(crate) fn given(self) -> u32 {
        self.0 & ((1 << Self::CALLER) - 1)
    }

    fn caller(self) -> u32 {
        self.0 >> Self::CALLER
    }
}

const _: () = assert!(MOST < 1 << Begun::CALLER);

/// The numbers of one site.
pub(crate) struct Table {
    plain: Node,
    given: OnceLock<Given>,
    returned: OnceLock<Sets>,
    callers: OnceLock<Callers>,
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
    /// Their starts, and the ends of those that nobody called.
    own: Ends,
    /// The ends of the others, by who called.
    by_caller: OnceLock<Lazy<Ends>>,
}

/// Calls that began with the same labels, and that the same function called.
struct Ends {
    cells: Cells,
    /// Of those that returned, by the labels of the value.
    returned: OnceLock<Lazy<Cells>>,
}

impl Ends {
    const fn new() -> Self {
        Ends { cells: Cells::new(), returned: OnceLock::new() }
    }

    fn of(&self, sets: Option<&Sets>, returned: u32) -> &Cells {
        let (Some(sets), Some(index)) = (sets, (returned as usize).checked_sub(1)) else {
            return &self.cells;
        };
        let table = self.returned.get_or_init(|| empty(sets.size));
        table.get(index).map_or(&self.cells, |cells| cells.get_or_init(|| Box::new(Cells::new())))
    }
}

impl Node {
    const fn new() -> Self {
        Node { own: Ends::new(), by_caller: OnceLock::new() }
    }

    fn ends(&self, callers: Option<&Callers>, caller: u32) -> &Ends {
        let (Some(callers), Some(index)) = (callers, (caller as usize).checked_sub(1)) else {
            return &self.own;
        };
        let table = self.by_caller.get_or_init(|| empty(callers.size()));
        table.get(index).map_or(&self.own, |ends| ends.get_or_init(|| Box::new(Ends::new())))
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
    /// Who called.
    pub(crate) caller: Names,
    pub(crate) red: Red,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Table {
            plain: Node::new(),
            given: OnceLock::new(),
            returned: OnceLock::new(),
            callers: OnceLock::new(),
        }
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
        self.returned
            .get_or_init(|| {
                let callers = self.callers.get().map_or(1, |callers| callers.size() + 1);
                Sets::learn(choices, MOST / self.given_size() / callers)
            })
            .index(choices)
    }

    /// Where calls by this caller are counted; and whether it is the first that found no place of its own.
    pub(crate) fn caller(&self, caller: &Caller) -> (u32, bool) {
        let callers = self.callers.get_or_init(|| {
            let returned = self.returned.get().map_or(1, |sets| sets.size + 1);
            Callers::new(MOST / self.given_size() / returned)
        });
        callers.number(caller)
    }

    fn given_size(&self) -> usize {
        self.given.get().map_or(1, |given| given.sets.size.max(1))
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
        if given == 0 { self.plain.own.cells.start() } else { self.starts(given).start() }
    }

    /// Counts a call's end, and the type of its error just before.
    #[inline(always)]
    pub(crate) fn end(
        &self,
        place: Place,
        bounds: &Bounds,
        outcome: Outcome,
        error_type: Option<&'static str>,
        nanos: u64,
    ) {
        let cells = self.cells(place);
        if let Some(error_type) = error_type {
            cells.fail(error_type);
        }
        cells.end(bounds, outcome, nanos);
    }

    /// Counts the end of a call without labels that was fine; `false`, and nothing has happened, where something has
    /// to be made or waited for first.
    #[inline(always)]
    pub(crate) fn end_at_once(&self, bounds: &Bounds, nanos: u64) -> bool {
        self.plain.own.cells.end_at_once(bounds, nanos)
    }

    #[inline]
    pub(crate) fn cells(&self, place: Place) -> &Cells {
        if place == Place::default() { &self.plain.own.cells } else { self.labelled(place) }
    }

    fn labelled(&self, place: Place) -> &Cells {
        let ends = self.node(place.begun.given()).ends(self.callers.get(), place.begun.caller());
        ends.of(self.returned.get(), place.returned)
    }

    /// All of the site's calls together.
    pub(crate) fn read(&self, bounds: &'static Bounds) -> Red {
        let mut all = Red::new(bounds);
        self.visit(|_, cells| all.merge(&cells.read(bounds)));
        all
    }

    /// Ends before starts (`Cells::read`): a node's own cells, which have the starts, come last.
    fn visit<'a>(&'a self, mut visit: impl FnMut(Place, &'a Cells)) {
        let labelled =
            self.given.get().into_iter().flat_map(|given| given.nodes.iter().enumerate());
        let labelled = labelled.filter_map(|(at, node)| Some((at + 1, &**node.get()?)));
        for (given, node) in labelled.chain([(0, &self.plain)]) {
            let callers = node.by_caller.get().into_iter().flatten().enumerate();
            let called = callers.filter_map(|(at, ends)| Some((at + 1, &**ends.get()?)));
            for (caller, ends) in called.chain([(0, &node.own)]) {
                let place =
                    Place { begun: Begun::with(given as u32).by(caller as u32), returned: 0 };
                for (at, cells) in ends.returned.get().into_iter().flatten().enumerate() {
                    if let Some(cells) = cells.get() {
                        visit(Place { returned: at as u32 + 1, ..place }, cells);
                    }
                }
                visit(place, &ends.cells);
            }
        }
    }

    /// The numbers by label set. Where there are few sets, also those that were not seen yet: a rate
    /// needs the zero before the first call.
    pub(crate) fn series(&self, bounds: &'static Bounds) -> Vec<Series> {
        let given = self.given.get().map(|given| &given.sets);
        let returned = self.returned.get();
        let series = |place: Place, red| {
            let (given, returned) = self.values(place);
            Series { given, returned, caller: self.caller_names(place), red }
        };
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        self.visit(|place, cells| {
            let red = cells.read(bounds);
            // Before the first call a site with labels is one series without.
            let idle = red.started == 0 && red.finished() == 0;
            let is_labelled = given.is_some() || place.returned != 0 || place.begun.caller() != 0;
            if place.begun.given() == 0 && idle && is_labelled {
                return;
            }
            if (given.is_some() || returned.is_some()) && place.begun.caller() == 0 {
                seen.insert((place.begun.given() as usize, place.returned as usize));
            }
            all.push(series(place, red));
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
                let place = Place { begun: Begun::with(from as u32), returned: to as u32 };
                all.push(series(place, Red::new(bounds)));
            }
        }
        all
    }

    /// The cells where starts are counted of calls with these labels.
    pub(crate) fn starts(&self, given: u32) -> &Cells {
        &self.node(given).own.cells
    }

    /// Visits all cells that are in use.
    pub(crate) fn each(&self, mut visit: impl FnMut(Place, &Cells)) {
        self.visit(|place, cells| {
            // Once labels are known, nothing more is counted without.
            let plain = place.begun.given() == 0 && self.given.get().is_some();
            if plain && cells.read(&DEFAULT).started == 0 {
                return;
            }
            visit(place, cells);
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
        (of(given, place.begun.given()), of(self.returned.get(), place.returned))
    }

    /// The labels that say who called.
    pub(crate) fn caller_names(&self, place: Place) -> Names {
        self.callers.get().and_then(|callers| callers.names(place.begun.caller()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::OVERFLOW;
    use std::fmt;

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
        table.end(Place::default(), &Bounds::DEFAULT, Outcome::Ok, None, 0);
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
        table.end(
            Place { begun: Begun::with(given), returned },
            &Bounds::DEFAULT,
            Outcome::Ok,
            None,
            0,
        );
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

    fn caller(site: usize) -> Caller {
        Caller { site: site * 512, function: "f", module: "m" }
    }

    #[test]
    fn calls_are_told_apart_by_who_called_when_they_end() {
        let table = Table::new();
        let given = table.given(&[closed(0)]);
        for site in [1, 1, 2] {
            table.start(given);
            let caller = table.caller(&caller(site)).0;
            let returned = table.returned(&[closed(1)]);
            let place = Place { begun: Begun::with(given).by(caller), returned };
            table.end(place, &Bounds::DEFAULT, Outcome::Ok, None, 0);
        }
        let series = table.series(&Bounds::DEFAULT);
        let called = series.iter().filter(|it| it.caller == Some(["f", "m"]));
        let mut ended: Vec<_> =
            called.map(|it| (it.returned.join(","), it.red.finished())).collect();
        ended.retain(|(_, ended)| *ended > 0);
        ended.sort();
        assert_eq!(ended, [("paid".to_owned(), 1), ("paid".to_owned(), 2)]);
        let starts = series.iter().filter(|it| it.red.started > 0);
        assert_eq!(starts.map(|it| (it.caller, it.red.started)).collect::<Vec<_>>(), [(None, 3)]);
        let all = table.read(&Bounds::DEFAULT);
        assert_eq!((all.started, all.finished(), all.in_flight()), (3, 3, 0));
    }

    #[test]
    fn callers_have_the_room_that_labels_leave() {
        let told_apart = |table: &Table| {
            let numbers = (1..200).map(|site| table.caller(&caller(site)).0);
            numbers.collect::<HashSet<_>>().len() - 1
        };
        assert_eq!(told_apart(&Table::new()), 64);
        let x = "x";
        let some = Table::new();
        some.given(&[capped(&x, 199)]);
        assert_eq!(told_apart(&some), 4096 / 200 - 2);
        let full = Table::new();
        full.given(&[capped(&x, 4095)]);
        assert_eq!(told_apart(&full), 0);
        // Values of the returned labels come after, as ever.
        let after = Table::new();
        told_apart(&after);
        after.returned(&[capped(&x, 1000)]);
        assert_eq!(after.returned.get().map(|sets| sets.size), Some(1));
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

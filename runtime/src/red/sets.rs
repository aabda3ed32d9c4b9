//! What labels may say together, as numbers.

use crate::label::OVERFLOW;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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

/// A label's value.
pub(crate) type Value = std::borrow::Cow<'static, str>;

/// Bytes of a value under a cap; the rest is cut.
const MOST_TEXT: usize = 128;

/// What several labels may say together: numbers from zero to `size`, in mixed radix.
pub(super) struct Sets {
    sets: Box<[Set]>,
    pub(super) size: usize,
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
    pub(super) fn learn(choices: &[Choice<'_>], room: usize) -> Self {
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
    pub(super) fn index(&self, choices: &[Choice<'_>]) -> u32 {
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

    pub(super) fn values(&self, index: usize) -> Vec<Value> {
        self.digits(index).map(|(set, digit)| set.value(digit)).collect()
    }

    /// Whether all of it is known without having been seen.
    pub(super) fn is_closed(&self, index: usize) -> bool {
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

/// The begin of a text, on the stack.
pub(crate) struct Text {
    bytes: [u8; MOST_TEXT],
    length: usize,
}

impl Text {
    pub(crate) fn of(value: &dyn fmt::Display) -> Text {
        let mut text = Text { bytes: [0; MOST_TEXT], length: 0 };
        // Rendering is user code; an error means that the text was cut.
        let _ = catch_unwind(AssertUnwindSafe(|| write!(text, "{value}")));
        text
    }

    pub(crate) fn as_str(&self) -> &str {
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

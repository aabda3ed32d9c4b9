//! Dotted names as objects in objects.

use super::{Pair, Shown, string};
use crate::log::fields::Fields;

/// How many objects lie in each other at most: readers have limits, and strangers may choose names.
const DEEPEST: usize = 16;

/// What is left of a name in the object that is being written, and its value.
type Rest<'a> = (&'a str, &'a Shown<'a>);

/// Writes all pairs, each with a comma in front. No two have the same name, nor one of `own`.
pub(super) fn write(out: &mut Vec<u8>, fields: &Fields, own: &[String], pairs: &[Pair<'_>]) {
    let is_key = |name: &str| {
        own.iter().any(|key| *key == name) || pairs.iter().any(|(other, _)| *other == name)
    };
    // An object cannot have the name of a value.
    let beside_a_value =
        |name: &str| name.match_indices('.').any(|(dot, _)| name.get(..dot).is_some_and(is_key));
    let (flat, deep): (Vec<_>, Vec<_>) = pairs.iter().partition(|(name, _)| beside_a_value(name));
    let deep: Vec<Rest<'_>> = deep.into_iter().map(|(name, value)| (&**name, value)).collect();
    object(out, fields, &deep, DEEPEST, true);
    for (name, value) in flat {
        out.push(b',');
        string(out, name);
        out.push(b':');
        value.write(out, fields);
    }
}

/// The members of an object, each group where its first member stands.
fn object(out: &mut Vec<u8>, fields: &Fields, members: &[Rest<'_>], depth: usize, begun: bool) {
    let group = |name| split(name, depth).map(|(group, _)| group);
    let mut begun = begun;
    for (n, (name, value)) in members.iter().enumerate() {
        let here = group(name);
        if here.is_some() && members.iter().take(n).any(|(other, _)| group(other) == here) {
            continue;
        }
        if std::mem::replace(&mut begun, true) {
            out.push(b',');
        }
        string(out, here.unwrap_or(name));
        out.push(b':');
        let Some(here) = here else {
            value.write(out, fields);
            continue;
        };
        let inner = members.iter().filter_map(|(name, value)| match split(name, depth) {
            Some((group, rest)) if group == here => Some((rest, *value)),
            _ => None,
        });
        let inner: Vec<Rest<'_>> = inner.collect();
        out.push(b'{');
        object(out, fields, &inner, depth - 1, false);
        out.push(b'}');
    }
}

fn split(name: &str, depth: usize) -> Option<(&str, &str)> {
    if depth > 0 { name.split_once('.') } else { None }
}

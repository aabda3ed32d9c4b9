//! The functions that all crates have.

use crate::peers::{Peer, Wanted};
use std::fmt::Write as _;

/// Functions in a module.
const MODULE: usize = 50;

const HEAD: &str = r#"
use std::fmt;
use std::num::ParseIntError;

#[derive(Debug)]
pub enum Failure {
    Refused(u64),
    Parse(ParseIntError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(id) => write!(f, "{id} was refused"),
            Failure::Parse(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ParseIntError> for Failure {
    fn from(error: ParseIntError) -> Self {
        Failure::Parse(error)
    }
}

pub async fn pause(id: u64) -> u64 {
    std::future::ready(id).await
}
"#;

/// One shape of a function: what is asked of the attribute, the source, and how it is driven.
struct Shape {
    wanted: Wanted,
    method: bool,
    source: &'static str,
    drive: &'static str,
}

const PLAIN: Wanted = Wanted { result: false, fields: &[] };
const RESULT: Wanted = Wanted { result: true, fields: &[] };

const SHAPES: &[Shape] = &[
    Shape {
        wanted: PLAIN,
        method: false,
        source: "pub fn total_{i}(items: &[u64], rate: u64) -> u64 {
            let mut sum = {i};
            for item in items {
                sum += item * rate;
            }
            if sum > 1_000 { sum - 10 } else { sum }
        }",
        drive: "black_box(total_{i}(black_box(&[1]), 2));",
    },
    Shape {
        wanted: RESULT,
        method: false,
        source: "pub fn parse_{i}(text: &str) -> Result<u64, Failure> {
            let number: u64 = text.trim().parse()?;
            if number == {i} {
                return Err(Failure::Refused(number));
            }
            Ok(number + 1)
        }",
        drive: "let _ = black_box(parse_{i}(black_box(\"1\")));",
    },
    Shape {
        wanted: Wanted { result: true, fields: &["id", "text"] },
        method: false,
        source: "pub fn check_{i}(id: u64, text: &str) -> Result<usize, Failure> {
            let found = text.bytes().position(|byte| u64::from(byte) == id);
            match found {
                Some(place) if place > {i} => Err(Failure::Refused(id)),
                Some(place) => Ok(place),
                None => Ok(text.len()),
            }
        }",
        drive: "let _ = black_box(check_{i}(1, black_box(\"one\")));",
    },
    Shape {
        wanted: PLAIN,
        method: true,
        source: "pub fn find_{i}(&self, id: u64) -> Option<u64> {
            let row = self.rows.iter().position(|row| *row == id)?;
            let next = self.rows.get(row + {i})?;
            Some(*next)
        }",
        drive: "black_box(service.find_{i}(black_box(3)));",
    },
    Shape {
        wanted: PLAIN,
        method: false,
        source: "pub fn join_{i}(mut left: String, right: &str) -> String {
            if left.len() > {i} {
                left.truncate(3);
            }
            left.push_str(right);
            left
        }",
        drive: "black_box(join_{i}(black_box(String::new()), \"one\"));",
    },
    Shape {
        wanted: RESULT,
        method: false,
        source: "pub async fn load_{i}(id: u64) -> Result<String, Failure> {
            let found = pause(id).await;
            if found == {i} {
                return Err(Failure::Refused(found));
            }
            Ok(found.to_string())
        }",
        drive: "let _ = black_box(pin!(load_{i}(black_box(1))).poll(cx));",
    },
    Shape {
        wanted: PLAIN,
        method: false,
        source: "pub async fn touch_{i}(id: u64) -> u64 {
            let first = pause(id).await;
            let second = pause(first + {i}).await;
            first + second
        }",
        drive: "let _ = black_box(pin!(touch_{i}(black_box(1))).poll(cx));",
    },
    Shape {
        wanted: Wanted { result: true, fields: &["id", "name"] },
        method: false,
        source: "pub async fn rename_{i}(id: u64, name: &str) -> Result<u64, Failure> {
            let found = pause(id).await;
            if name.len() > {i} {
                return Err(Failure::Refused(found));
            }
            Ok(pause(found + 1).await)
        }",
        drive: "let _ = black_box(pin!(rename_{i}(black_box(1), \"one\")).poll(cx));",
    },
    Shape {
        wanted: RESULT,
        method: true,
        source: "pub async fn list_{i}(&self, from: u64) -> Result<Vec<u64>, Failure> {
            let from = pause(from + {i}).await;
            let rows: Vec<u64> = self.rows.iter().copied().filter(|row| *row > from).collect();
            if rows.is_empty() { Err(Failure::Refused(from)) } else { Ok(rows) }
        }",
        drive: "let _ = black_box(pin!(service.list_{i}(black_box(1))).poll(cx));",
    },
    Shape {
        wanted: RESULT,
        method: false,
        source: "pub async fn store_{i}(name: String, rows: Vec<u64>) -> Result<usize, Failure> {
            let number: u64 = name.parse()?;
            let last = pause(number).await;
            if rows.contains(&last) {
                return Err(Failure::Refused(last));
            }
            Ok(rows.len() + {i})
        }",
        drive: "let _ = black_box(pin!(store_{i}(black_box(String::new()), vec![])).poll(cx));",
    },
];

/// The source of a peer's crate.
pub(crate) fn source(peer: &Peer, functions: usize) -> String {
    let mut source = String::from("#![allow(dead_code)]\n");
    source += HEAD;
    let mut written = 0;
    while written < functions {
        let count = MODULE.min(functions - written);
        source += &module(peer, written, count);
        written += count;
    }
    source
}

/// A module, with a function that makes the compiler write code for all of it.
fn module(peer: &Peer, first: usize, count: usize) -> String {
    let (mut free, mut methods, mut drive) = (String::new(), String::new(), String::new());
    for index in first..first + count {
        let shape = &SHAPES[index % SHAPES.len()];
        let named = |text: &str| text.replace("{i}", &index.to_string());
        let (attribute, source) = ((peer.attribute)(shape.wanted), named(shape.source));
        let into = if shape.method { &mut methods } else { &mut free };
        let _ = write!(into, "{attribute}\n{source}\n\n");
        drive += &named(shape.drive);
        drive.push('\n');
    }
    format!(
        "pub mod m{first} {{
            use crate::{{Failure, pause}};
            use std::future::Future;
            use std::hint::black_box;
            use std::pin::pin;
            use std::task::Context;

            {free}
            pub struct Service {{ pub rows: Vec<u64> }}
            impl Service {{
                {methods}
            }}
            pub fn drive(service: &Service, cx: &mut Context<'_>) {{
                {drive}
            }}
        }}\n"
    )
}

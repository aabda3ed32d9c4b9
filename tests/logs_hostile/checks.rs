//! Writers that look at each line as it is written.

use super::payloads::CANARY;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// What a [`Checker`] has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) lines: u64,
    /// Lines of the test's own.
    pub(crate) numbered: u64,
    /// Lines in which something was redacted.
    pub(crate) redacted: u64,
    /// The first lines that are not the test's own.
    pub(crate) other: Vec<String>,
    problem: Option<String>,
    numbers: HashSet<u64>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Form {
    /// JSON, with the message under this key.
    Json(&'static str),
    Text,
}

#[derive(Clone)]
pub(crate) struct Checker(Form, Arc<Mutex<Checked>>);

impl Checker {
    pub(crate) fn json(message: &'static str) -> Checker {
        Checker(Form::Json(message), Arc::default())
    }

    pub(crate) fn text() -> Checker {
        Checker(Form::Text, Arc::default())
    }

    /// What was seen; all of it must have been well.
    pub(crate) fn checked(&self) -> Checked {
        let checked = self.1.lock().unwrap().clone();
        assert_eq!(checked.problem, None);
        assert!(checked.rest.is_empty(), "a line without an end");
        checked
    }
}

impl Checked {
    fn look_at(&mut self, form: Form, line: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        // Told apart by any convention, it is one line, and it drives no terminal.
        let breaks = |c: char| {
            c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if let Some(c) = text.chars().find(|c| breaks(*c)) {
            return Err(format!("{c:?} is in it"));
        }
        if text.contains(CANARY) {
            return Err("a secret is in it".into());
        }
        self.lines += 1;
        self.redacted += u64::from(text.contains("[redacted]"));
        let Form::Json(message) = form else { return Ok(()) };
        let Value::Object(line) = serde_json::from_str(text).map_err(|error| error.to_string())?
        else {
            return Err("no object".into());
        };
        if !line[message].is_string() {
            return Err(format!("{message} is no text"));
        }
        if let Some(n) = line.get("n").or(line.get("N")) {
            let n = n.as_u64().ok_or("n is no number")?;
            if !self.numbers.insert(n) {
                return Err(format!("{n} came twice"));
            }
            self.numbered += 1;
        } else if self.other.len() < 20 {
            self.other.push(text.to_owned());
        }
        Ok(())
    }
}

impl Write for Checker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut checked = self.1.lock().unwrap();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            checked.rest.extend_from_slice(part);
            if checked.rest.pop_if(|last| *last == b'\n').is_some() {
                let line = std::mem::take(&mut checked.rest);
                if let Err(problem) = checked.look_at(self.0, &line) {
                    let text = String::from_utf8_lossy(&line);
                    checked.problem.get_or_insert(format!("{problem}: {text}"));
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

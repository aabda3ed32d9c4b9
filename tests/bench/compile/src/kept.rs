//! What was measured, also by runs before this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Values by crate and by what they are of, one a round.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<(String, String), Vec<f64>>);

impl Kept {
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}; run `--part code` first", file.display()))?;
        let mut kept = Kept::default();
        for line in text.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let value = parts.get(2).and_then(|value| value.parse().ok());
            let (&[name, what, _], Some(value)) = (&parts[..], value) else {
                return Err(format!("{}: {line} is nothing of ours", file.display()));
            };
            kept.add(name, what, value);
        }
        Ok(kept)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let mut text = String::new();
        for ((name, what), values) in &self.0 {
            for value in values {
                let _ = writeln!(text, "{name} {what} {value}");
            }
        }
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    }

    pub(crate) fn add(&mut self, name: &str, what: &str, value: f64) {
        self.0.entry((name.into(), what.into())).or_default().push(value);
    }

    pub(crate) fn of(&self, name: &str, what: &str) -> &[f64] {
        self.0.get(&(name.into(), what.into())).map_or(&[], Vec::as_slice)
    }
}

//! OpenTelemetry's published names: what the crate `opentelemetry-semantic-conventions` says of attributes
//! and metrics, read from its source, where everything is written, whatever its features are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

/// A metric as the conventions have it.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// `counter`, `updowncounter`, `gauge` or `histogram`.
    pub instrument: String,
    /// UCUM's code.
    pub unit: String,
    /// Its attributes, and whether each must be there.
    pub attributes: BTreeMap<String, bool>,
}

/// Attributes of which a part is free: their name is a beginning.
const TEMPLATES: [&str; 2] = ["http.request.header", "http.response.header"];

/// What may leave: published names, and those that are redspan's own by its documentation.
#[derive(Debug)]
pub struct Names {
    attributes: BTreeSet<String>,
    metrics: BTreeMap<String, Published>,
    /// Published once, and replaced since.
    deprecated: BTreeSet<String>,
    own: BTreeSet<String>,
}

/// The platform that the compiler runs on.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).arg("-vV").output().expect("rustc runs").stdout;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    printed.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// Where cargo has put the crate's source.
fn source() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    // Of what other platforms need nothing was downloaded.
    metadata.args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()]);
    metadata.arg("--manifest-path");
    metadata.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let printed = metadata.output().expect("cargo runs");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let mut packages = printed["packages"].as_array().expect("packages").iter();
    let wanted = packages.find(|it| it["name"] == "opentelemetry-semantic-conventions");
    let manifest = wanted.and_then(|it| it["manifest_path"].as_str()).expect("a dependency");
    PathBuf::from(manifest).with_file_name("src")
}

/// One constant: its name in Rust, its text, its documentation, and whether it was replaced.
struct Constant {
    identifier: String,
    text: String,
    docs: Vec<String>,
    is_deprecated: bool,
}

fn constants(source: &str) -> Vec<Constant> {
    let mut found = Vec::new();
    let (mut docs, mut is_deprecated) = (Vec::new(), false);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("///") {
            docs.push(text.trim().to_owned());
        } else if line.starts_with("#[deprecated") {
            is_deprecated = true;
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            // The text may stand on the next line.
            let line = match rest.contains('"') {
                true => rest.to_owned(),
                false => format!("{rest}{}", lines.next().unwrap_or_default()),
            };
            let identifier = line.split(':').next().unwrap_or_default().to_owned();
            let text = line.split('"').nth(1).expect("a text").to_owned();
            let docs = std::mem::take(&mut docs);
            found.push(Constant { identifier, text, docs, is_deprecated });
            is_deprecated = false;
        }
    }
    found
}

fn published(docs: &[String], by_identifier: &BTreeMap<String, String>) -> Published {
    // Lines such as "| Unit: | `s` |" and "| [`crate::attribute::ERROR_TYPE`] | `Required`".
    let quoted = |line: &str, nth: usize| line.split('`').nth(nth).unwrap_or_default().to_owned();
    let mut metric = Published::default();
    for line in docs {
        if line.starts_with("| Instrument:") {
            metric.instrument = quoted(line, 1);
        } else if line.starts_with("| Unit:") {
            metric.unit = quoted(line, 1);
        } else if line.starts_with("| [`crate::attribute::") {
            let identifier = quoted(line, 1);
            let identifier = identifier.rsplit(':').next().unwrap_or_default();
            let name = by_identifier.get(identifier).expect("an attribute");
            metric.attributes.insert(name.clone(), quoted(line, 3) == "Required");
        }
    }
    metric
}

impl Names {
    /// The published names, and those which the tables of `documentation` put in backticks first.
    ///
    /// # Panics
    /// If the published names are not found.
    pub fn read(documentation: &str) -> Self {
        let source = source();
        let read = |file| std::fs::read_to_string(source.join(file)).expect("the crate's source");
        let attributes = constants(&read("attribute.rs"));
        let by_identifier: BTreeMap<_, _> =
            attributes.iter().map(|it| (it.identifier.clone(), it.text.clone())).collect();
        let metrics = constants(&read("metric.rs"));
        let (old, new): (Vec<_>, Vec<_>) = attributes.iter().partition(|it| it.is_deprecated);
        let cells = documentation.lines().filter_map(|line| line.strip_prefix("| `"));
        let own = cells.filter_map(|cell| cell.split_once('`')).map(|(name, _)| name.to_owned());
        let names = Names {
            attributes: new.iter().map(|it| it.text.clone()).collect(),
            metrics: metrics
                .iter()
                .filter(|it| !it.is_deprecated)
                .map(|it| (it.text.clone(), published(&it.docs, &by_identifier)))
                .collect(),
            deprecated: old.iter().map(|it| it.text.clone()).collect(),
            own: own.collect(),
        };
        // So many are published at the least: less were a mistake in reading them.
        assert!(names.attributes.len() > 600 && names.metrics.len() > 300, "{names:?}");
        names
    }

    /// What is wrong with an attribute, if anything is.
    pub fn of_attribute(&self, name: &str) -> Option<String> {
        let is_made =
            |template: &str| name.strip_prefix(template).is_some_and(|rest| rest.starts_with('.'));
        if self.attributes.contains(name) || TEMPLATES.into_iter().any(is_made) {
            return None;
        }
        match () {
            () if self.is_own(name) => None,
            () if self.deprecated.contains(name) => Some(format!("attribute {name}: deprecated")),
            () => Some(format!("attribute {name}: unknown")),
        }
    }

    /// A metric, if it is one of the conventions.
    pub fn metric(&self, name: &str) -> Option<&Published> {
        self.metrics.get(name)
    }

    /// All metrics of the conventions.
    pub fn metrics(&self) -> impl Iterator<Item = (&str, &Published)> {
        self.metrics.iter().map(|(name, metric)| (&**name, metric))
    }

    /// Whether the documentation says that a name is redspan's own: `redspan.*` stands for all that begin so.
    pub fn is_own(&self, name: &str) -> bool {
        self.own.iter().any(|own| match own.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => own == name,
        })
    }

    /// The names that the documentation says are redspan's own.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(String::as_str)
    }
}

/// The name of a metric's family on `/metrics`, by OpenTelemetry's rules for Prometheus.
pub fn on_a_page(name: &str, unit: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let words = match unit {
        "s" => "seconds",
        "By" => "bytes",
        "1" | "" => "",
        unit if unit.starts_with('{') => "",
        unit => unit,
    };
    match words.is_empty() || name.ends_with(words) {
        true => name,
        false => format!("{name}_{words}"),
    }
}

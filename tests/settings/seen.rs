//! What is seen of a process from outside.

use crate::probe::{ABOUT, State};
use crate::table::{Place, Row};
use redspan_tests::certificate::Authority;
use redspan_tests::{Behaviour, Files, Front, Heard, Receiver, Record, Span, Transport, process};

/// What a warning says.
const IGNORED: &str = " is ignored";

pub(crate) struct Seen {
    pub(crate) spans: Vec<Span>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) records: Vec<Record>,
    /// Points of metrics.
    pub(crate) points: usize,
    /// Whether points said what came since the last.
    pub(crate) delta: bool,
    /// What was printed.
    pub(crate) out: String,
}

impl Seen {
    /// Starts a process for `row`.
    pub(crate) fn of(test: &str, row: &Row, state: State) -> Self {
        let receiver = Receiver::start();
        if row.hangs {
            receiver.behave(Behaviour::Hang);
        }
        let files = Files::new();
        let clients = Authority::new();
        let wanted = row.place == Place::KnownClients;
        let front = matches!(row.place, Place::Tls | Place::KnownClients).then(|| {
            let authority = Authority::new();
            let own = authority.sign("localhost");
            let (to, clients) = (receiver.address(Transport::Http), wanted.then_some(&clients));
            Front::showing(to, Transport::Http, authority, &own, clients)
        });
        let own = clients.sign("service");
        let ca = front.as_ref().map_or(String::new(), |front| front.authority().pem());
        let replaced = [
            ("{http}", receiver.http()),
            ("{grpc}", receiver.grpc()),
            ("{front}", front.as_ref().map_or(String::new(), Front::url)),
            ("{ca}", files.write("ca.pem", &ca)),
            ("{certificate}", files.write("own.pem", &own.certificate)),
            ("{key}", files.write("key.pem", &own.key)),
        ];
        let filled = |text: &str| {
            replaced.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
        };
        let base = match row.place {
            Place::Http => vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "{http}")],
            Place::Nowhere => vec![],
            Place::Tls | Place::KnownClients => vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "{front}")],
        };
        let mut variables: Vec<(&str, String)> = base
            .into_iter()
            .chain(row.with.iter().copied())
            .filter(|(name, _)| *name != row.name || state == State::Unset)
            .map(|(name, value)| (name, filled(value)))
            .collect();
        match state {
            State::Unset => {}
            State::Set | State::Overridden => variables.push((row.name, filled(row.good.0))),
            State::Bad => variables.push((row.name, filled(row.bad.unwrap_or_default()))),
        }
        let over = if state == State::Overridden { "over" } else { "not" };
        variables.push((ABOUT, format!("{} {over}", row.number)));
        variables.push(("REDSPAN_TEST_HTTP", receiver.http()));
        let out = process::run(test, &variables);
        let points = receiver.take_points();
        Seen {
            spans: receiver.spans(),
            heard: receiver.heard(),
            records: receiver.take_records(),
            points: points.len(),
            delta: points.iter().any(|point| point.delta),
            out,
        }
    }

    /// The warnings about a variable.
    pub(crate) fn warnings(&self, variable: &str) -> Vec<&str> {
        let (value, part) = (format!("{variable}="), format!(" in {variable} is "));
        let of = |line: &&str| match variable {
            // Directives that can be read hold although another one cannot.
            "RUST_LOG" => line.contains("RUST_LOG: ignored") && line.contains("accepted are"),
            _ => {
                let named = line.contains(&value) || line.contains(&part);
                named && line.contains(IGNORED) && line.contains(": expected ")
            }
        };
        self.out.lines().filter(of).collect()
    }

    /// Whether nothing was ignored.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.out.contains(IGNORED) && !self.out.contains("RUST_LOG: ignored")
    }

    /// What the process said of itself.
    pub(crate) fn said(&self, what: &str) -> String {
        let start = format!("@{what} ");
        let line = self.out.lines().find_map(|line| line.split_once(&start));
        line.map(|(_, rest)| rest.trim().to_owned()).unwrap_or_default()
    }

    pub(crate) fn first(&self, signal: &str) -> Option<&Heard> {
        self.heard.iter().find(|heard| heard.signal == signal)
    }

    pub(crate) fn span(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.name == name)
    }
}

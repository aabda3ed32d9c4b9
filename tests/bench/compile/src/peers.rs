//! Who is compared, and how each of them is written.

/// One crate of the table.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What stands under `[dependencies]`; `{redspan}` is the path of the runtime.
    pub(crate) dependencies: &'static str,
    pub(crate) attribute: fn(Wanted) -> String,
}

/// What a function is asked to show.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) result: bool,
    /// The names of parameters that are recorded.
    pub(crate) fields: &'static [&'static str],
}

pub(crate) const ALL: &[Peer] = &[
    Peer { name: "bare", title: "bare", dependencies: "", attribute: |_| String::new() },
    Peer {
        name: "redspan",
        title: "`redspan::instrumented`",
        dependencies: "redspan = { path = \"{redspan}\" }",
        attribute: |wanted| {
            if wanted.fields.is_empty() {
                String::from("#[redspan::instrumented]")
            } else {
                format!("#[redspan::instrumented(fields({}))]", wanted.fields.join(", "))
            }
        },
    },
    Peer {
        name: "tracing",
        title: "`tracing::instrument(err)`",
        dependencies: "tracing = \"=0.1.44\"",
        attribute: |wanted| {
            let err = if wanted.result { "err, " } else { "" };
            let fields = wanted.fields.join(", ");
            format!("#[tracing::instrument({err}skip_all, fields({fields}))]")
        },
    },
    Peer {
        name: "autometrics",
        title: "`autometrics::autometrics`",
        dependencies: "autometrics = { version = \"=3.0.0\", features = [\"prometheus-exporter\"] }",
        attribute: |_| String::from("#[autometrics::autometrics]"),
    },
    Peer {
        name: "fastrace",
        title: "`fastrace::trace`",
        dependencies: "fastrace = { version = \"=0.7.19\", features = [\"enable\"] }",
        attribute: |wanted| {
            if wanted.fields.is_empty() {
                return String::from("#[fastrace::trace]");
            }
            let properties = wanted.fields.iter().map(|name| format!("\"{name}\": \"{{{name}}}\""));
            let properties = properties.collect::<Vec<_>>().join(", ");
            format!("#[fastrace::trace(properties = {{ {properties} }})]")
        },
    },
];

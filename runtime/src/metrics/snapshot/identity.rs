//! Whose numbers they are.

use std::sync::OnceLock;

/// Whose numbers they are: the labels that every site's metrics carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The label `service_name`.
    pub(crate) service_name: String,
    /// The version in `build_info`.
    pub(crate) version: String,
    /// The commit in `build_info`.
    pub(crate) commit: String,
    /// The branch in `build_info`.
    pub(crate) branch: String,
}

/// What `install` settled.
static INSTALLED: OnceLock<Identity> = OnceLock::new();

impl Identity {
    /// From now on the process is called so.
    pub(crate) fn settle(self) {
        let _ = INSTALLED.set(self);
    }

    /// What is known without any configuration: `OTEL_SERVICE_NAME`, or else `unknown_service:`
    /// and the program's name, as OpenTelemetry gives it.
    pub(crate) fn of_process() -> Self {
        if let Some(identity) = INSTALLED.get() {
            return identity.clone();
        }
        let named = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
        let service_name = named.unwrap_or_else(|| {
            let program = std::env::current_exe().ok();
            match program.as_deref().and_then(|path| path.file_stem()) {
                Some(name) => format!("unknown_service:{}", name.to_string_lossy()),
                None => "unknown_service".to_owned(),
            }
        });
        Identity { service_name, ..Identity::default() }
    }
}

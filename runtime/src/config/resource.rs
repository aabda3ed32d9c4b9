//! Who is speaking: the resource that goes with every span.

use super::settings::Settings;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use std::hash::{BuildHasher, Hasher, RandomState};

/// What the program says about itself; it beats the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// `service.name`.
    pub(crate) service_name: Option<String>,
    /// `service.version`.
    pub(crate) service_version: Option<String>,
    /// Anything else.
    pub(crate) attributes: Vec<KeyValue>,
}

/// Builds the resource: defaults, then the environment, then the program's own word.
pub(crate) fn resource(settings: &Settings, identity: Identity) -> Resource {
    // Later ones replace earlier ones. The SDK's own builder would read the environment again and
    // call itself `opentelemetry`.
    let mut attributes = vec![
        KeyValue::new("service.name", default_service_name()),
        KeyValue::new("service.instance.id", random_uuid()),
        KeyValue::new("telemetry.sdk.name", "redspan"),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    attributes.extend(host_name().map(|host| KeyValue::new("host.name", host)));
    let environment = settings.resource_attributes.iter();
    attributes.extend(environment.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    let name = identity.service_name.as_ref().or(settings.service_name.as_ref());
    attributes.extend(name.map(|name| KeyValue::new("service.name", name.clone())));
    attributes
        .extend(identity.service_version.map(|version| KeyValue::new("service.version", version)));
    attributes.extend(identity.attributes);
    Resource::builder_empty().with_attributes(attributes).build()
}

/// The name the specification gives a service without one.
fn default_service_name() -> String {
    let executable = std::env::current_exe().ok();
    let name =
        executable.as_deref().and_then(|path| path.file_stem()).map(|it| it.to_string_lossy());
    name.map_or_else(|| "unknown_service".to_owned(), |name| format!("unknown_service:{name}"))
}

/// The kernel's word, where reading it costs no dependency.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A version 4 UUID, random enough to tell instances apart: each `RandomState` has keys of its own,
/// which come from the system once a thread.
fn random_uuid() -> String {
    let random = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    };
    let high = random() & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = random() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Env;
    use opentelemetry::Key;
    use std::collections::{HashMap, HashSet};

    fn built(variables: &[(&'static str, &'static str)], identity: Identity) -> Resource {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        resource(&Settings::read(Env::of(variables)).0, identity)
    }

    fn get(resource: &Resource, key: &'static str) -> String {
        resource.get(&Key::new(key)).map(|value| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn with_nothing_said_it_still_names_process_and_library() {
        let resource = built(&[], Identity::default());
        assert!(get(&resource, "service.name").starts_with("unknown_service:redspan"));
        assert_eq!(get(&resource, "telemetry.sdk.name"), "redspan");
        assert_eq!(get(&resource, "telemetry.sdk.language"), "rust");
        assert_eq!(get(&resource, "process.pid"), std::process::id().to_string());
    }

    #[test]
    fn the_program_beats_the_environment_and_the_service_name_beats_the_attributes() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,a=env,b=env");
        let resource = built(&[attributes], Identity::default());
        assert_eq!(get(&resource, "service.name"), "attribute");

        let variables = [attributes, ("OTEL_SERVICE_NAME", "variable")];
        assert_eq!(get(&built(&variables, Identity::default()), "service.name"), "variable");

        let identity = Identity {
            service_name: Some("program".into()),
            service_version: Some("1.2.3".into()),
            attributes: vec![KeyValue::new("b", "program")],
        };
        let resource = built(&variables, identity);
        assert_eq!(get(&resource, "service.name"), "program");
        assert_eq!(get(&resource, "service.version"), "1.2.3");
        assert_eq!(get(&resource, "a"), "env");
        assert_eq!(get(&resource, "b"), "program");
    }

    #[test]
    fn instance_ids_are_uuids_and_differ() {
        let ids: HashSet<String> = (0..100).map(|_| random_uuid()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}

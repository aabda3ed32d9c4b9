//! Who is speaking: the resource that goes with every span, record and number.

mod detect;

use super::settings::Settings;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{LazyLock, OnceLock};

/// The conventions that the attributes' names are of.
/// <https://opentelemetry.io/docs/specs/otel/schemas/>
pub(crate) const SCHEMA_URL: &str = opentelemetry_semantic_conventions::SCHEMA_URL;

static INSTALLED: OnceLock<Resource> = OnceLock::new();

/// From here on this is who speaks; the first stays.
pub(crate) fn install(resource: &Resource) {
    let _ = INSTALLED.set(resource.clone());
}

/// Who speaks; nobody, before `install` has run.
pub(crate) fn installed() -> &'static Resource {
    static NOBODY: LazyLock<Resource> = LazyLock::new(|| Resource::builder_empty().build());
    INSTALLED.get().unwrap_or(&NOBODY)
}

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

/// Builds the resource: what is found, then the environment, then the program's own word.
pub(crate) fn resource(settings: &Settings, identity: Identity) -> Resource {
    // Later ones replace earlier ones. The SDK's own builder would read the environment again and
    // call itself `opentelemetry`.
    let mut attributes = vec![
        KeyValue::new("service.name", default_service_name()),
        KeyValue::new("service.instance.id", random_uuid()),
        KeyValue::new("telemetry.sdk.name", "redspan"),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    attributes.extend(detect::all());
    // A service has a name: an empty one is none.
    let is_said = |(key, value): &&(String, String)| key != "service.name" || !value.is_empty();
    let environment = settings.resource_attributes.iter().filter(is_said);
    attributes.extend(environment.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    let own_name = identity.service_name.as_ref().filter(|name| !name.is_empty());
    let name = own_name.or(settings.service_name.as_ref());
    attributes.extend(name.map(|name| KeyValue::new("service.name", name.clone())));
    attributes
        .extend(identity.service_version.map(|version| KeyValue::new("service.version", version)));
    attributes.extend(identity.attributes);
    Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL).build()
}

/// The name the specification gives a service without one.
fn default_service_name() -> String {
    match detect::executable() {
        Some(name) => format!("unknown_service:{name}"),
        None => "unknown_service".to_owned(),
    }
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
        resource(&Settings::read(Env::of(variables), None).0, identity)
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
        assert_eq!(get(&resource, "os.type"), std::env::consts::OS);
        assert!(get(&resource, "process.executable.name").starts_with("redspan"));
        assert!(!get(&resource, "host.arch").is_empty());
        assert!(resource.schema_url().is_some_and(|url| url.contains("opentelemetry.io/schemas/")));
        // Passwords stand there.
        assert_eq!(resource.get(&Key::new("process.command_args")), None);
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
    fn a_service_has_a_name_also_where_an_empty_one_is_given() {
        let nobody = Identity { service_name: Some(String::new()), ..Identity::default() };
        for identity in [Identity::default(), nobody] {
            let resource = built(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=,a=")], identity);
            assert!(get(&resource, "service.name").starts_with("unknown_service:redspan"));
            assert!(resource.get(&Key::new("a")).is_some(), "others may be empty");
        }
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

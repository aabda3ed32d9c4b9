//! What can be found out about process, host, system, container and pod.
//!
//! Container, pod and system are the business of OpenTelemetry's own detectors. Host and process are
//! read here: the detector of the one starts the program `hostname`, and that of the other takes the
//! arguments, where passwords stand.

use opentelemetry::KeyValue;
use opentelemetry_resource_detectors::{
    ContainerResourceDetector, K8sResourceDetector, OsResourceDetector,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::ResourceDetector;
use std::panic::catch_unwind;

/// Everything, as far as it is known.
pub(super) fn all() -> Vec<KeyValue> {
    let mut found = vec![
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("process.runtime.name", "rust"),
        KeyValue::new("host.arch", architecture()),
    ];
    let mut add = |key: &'static str, value: Option<String>| {
        found.extend(value.map(|value| KeyValue::new(key, value)));
    };
    add("process.executable.name", executable());
    add("host.name", host_name());
    add("host.id", host_id());
    let detectors: &[fn() -> Resource] = &[
        || OsResourceDetector.detect(),
        || ContainerResourceDetector.detect(),
        // It takes the host's name for the pod's wherever it runs.
        || match std::env::var_os("KUBERNETES_SERVICE_HOST") {
            Some(_) => K8sResourceDetector.detect(),
            None => Resource::builder_empty().build(),
        },
    ];
    for detect in detectors {
        // Somebody else's code, at the very start of the program.
        let resource = catch_unwind(detect).unwrap_or_else(|_| Resource::builder_empty().build());
        found.extend(resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    }
    found
}

/// The program's file, without its directory and ending.
pub(super) fn executable() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    path.file_stem().map(|name| name.to_string_lossy().into_owned())
}

/// The conventions' words for Rust's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// The kernel's word, where reading it costs no dependency.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The machine's id, where there is one; in a container it would be the image's.
fn host_id() -> Option<String> {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

//! What the macros accept and what they say: one case a file, named after what it shows.

/// The accepted programs are run as well: their `main` asserts.
#[test]
fn accepted_programs_compile_without_a_warning_and_run() {
    let cases = trybuild::TestCases::new();
    for accepted in [
        "compat",
        "derive_instrumented",
        "error_type",
        "instrumented",
        "label",
        "labels",
        "log",
        "measured",
        "metrics",
        "service",
    ] {
        cases.pass(format!("ui/{accepted}/pass/*.rs"));
    }
}

#[test]
fn every_mistake_has_one_message_inside_its_token() {
    let cases = trybuild::TestCases::new();
    for refused in [
        "compat",
        "derive_instrumented",
        "error_type",
        "instrumented",
        "label",
        "labels",
        "log",
        "measured",
        "metrics",
        "service",
    ] {
        cases.compile_fail(format!("ui/{refused}/fail/*.rs"));
    }
}

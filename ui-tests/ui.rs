//! What the macros accept and what they say: one case a file, named after what it shows.

/// The accepted programs are run as well: their `main` asserts.
#[test]
fn accepted_programs_compile_without_a_warning_and_run() {
    trybuild::TestCases::new().pass("ui/instrumented/pass/*.rs");
}

#[test]
fn every_mistake_has_one_message_inside_its_token() {
    trybuild::TestCases::new().compile_fail("ui/instrumented/fail/*.rs");
}

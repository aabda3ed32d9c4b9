#![deny(warnings)]

mod framework {
    pub use redspan as telemetry;
}

#[derive(framework::telemetry::ErrorType)]
#[error_type(crate = framework::telemetry, client, level = "warn")]
enum Charge {
    Declined,
}

fn main() {
    use framework::telemetry::ErrorType;
    assert_eq!(Charge::Declined.error_type(), "declined");
}

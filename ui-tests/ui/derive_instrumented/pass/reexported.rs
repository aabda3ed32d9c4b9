#![deny(warnings)]

mod framework {
    pub use redspan as telemetry;
}

use framework::telemetry;

#[derive(telemetry::Instrumented)]
#[instrumented(crate = telemetry, name = "payments")]
struct Payments {
    #[instrumented(attribute, label)]
    open: bool,
}

#[telemetry::instrumented(crate = telemetry)]
impl Payments {
    fn is_open(&self) -> bool {
        self.open
    }

    #[telemetry::instrumented(level = "debug")]
    fn toggle(&mut self) {
        self.open = !self.open;
    }
}

fn main() {
    let mut payments = Payments { open: true };
    payments.toggle();
    assert!(!payments.is_open());
}

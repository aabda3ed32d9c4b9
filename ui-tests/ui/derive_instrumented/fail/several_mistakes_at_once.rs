use redspan::instrumented;

#[derive(redspan::Instrumented)]
#[instrumented(nmae = "payments", level = "debug")]
struct Payments {
    #[instrumented(attribute = 3, label = "function")]
    region: bool,
    #[instrumented(lable)]
    open: bool,
}

#[instrumented]
impl Payments {
    fn is_open(&self) -> bool {
        self.open && self.region
    }
}

fn main() {
    Payments { region: true, open: true }.is_open();
}

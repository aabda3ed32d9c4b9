use redspan::instrumented;

#[derive(redspan::Instrumented)]
union Payments {
    code: u8,
}

#[instrumented]
impl Payments {
    fn charge(&self) {}
}

fn main() {
    let payments = Payments { code: 1 };
    payments.charge();
    let _ = unsafe { payments.code };
}

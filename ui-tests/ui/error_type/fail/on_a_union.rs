#[derive(redspan::ErrorType)]
union Charge {
    code: u8,
}

fn main() {
    let charge = Charge { code: 1 };
    let _ = unsafe { charge.code };
}

#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(label = "is.open")]
    open: bool,
}

fn main() {
    let _ = Payments { open: true }.open;
}

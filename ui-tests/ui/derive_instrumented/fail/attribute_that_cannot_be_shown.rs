struct Region;

#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(attribute)]
    region: Region,
}

fn main() {
    let _ = Payments { region: Region }.region;
}

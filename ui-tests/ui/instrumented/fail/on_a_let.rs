use redspan::instrumented;

fn main() {
    #[instrumented]
    let x = 1;
    let _ = x;
}

use redspan::instrumented;

fn main() {
    let f = #[instrumented]
    |x: u8| x;
    f(1);
}

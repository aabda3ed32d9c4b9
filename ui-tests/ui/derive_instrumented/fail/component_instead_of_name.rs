#[derive(redspan::Instrumented)]
#[instrumented(component = "pay")]
struct S;

fn main() {
    let _ = S;
}

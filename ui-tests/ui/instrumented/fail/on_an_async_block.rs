use redspan::instrumented;

fn main() {
    let f = #[instrumented]
    async {
        1
    };
    drop(f);
}

use redspan::instrumented;

unsafe extern "C" {
    #[instrumented]
    fn abs(x: i32) -> i32;
}

fn main() {}

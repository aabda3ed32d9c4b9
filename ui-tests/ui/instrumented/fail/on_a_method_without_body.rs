use redspan::instrumented;

trait Store {
    #[instrumented]
    fn get(&self) -> u8;
}

impl Store for u8 {
    fn get(&self) -> u8 {
        *self
    }
}

fn main() {
    1_u8.get();
}

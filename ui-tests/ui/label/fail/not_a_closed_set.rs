use redspan::Label;

fn values<T: Label>(_: T) -> usize {
    T::VALUES.len()
}

fn main() {
    values(String::new());
}

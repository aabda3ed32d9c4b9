use redspan::Label;

#[derive(Label)]
enum Size {
    Small(#[label("a")] u8),
}

fn main() {}

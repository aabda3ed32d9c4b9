use redspan::Label;

#[derive(Label)]
struct Size(u8);

fn main() {}

use redspan::Label;

#[derive(Label)]
enum Never {}

fn main() {}

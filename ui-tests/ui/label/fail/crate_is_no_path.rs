use redspan::Label;

#[derive(Label)]
#[label(crate = "redspan")]
enum Size {
    Small,
}

fn main() {}

use redspan::Label;

#[derive(Label)]
#[label("size")]
enum Size {
    Small,
}

fn main() {}

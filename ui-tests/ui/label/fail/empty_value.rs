use redspan::Label;

#[derive(Label)]
enum Size {
    #[label("")]
    Small,
    Large,
}

fn main() {}

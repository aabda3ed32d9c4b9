use redspan::Label;

#[derive(Label)]
enum Size {
    #[label("a")]
    #[label("b")]
    Small,
}

fn main() {}

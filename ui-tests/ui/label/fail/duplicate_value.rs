use redspan::Label;

#[derive(Label)]
enum Size {
    Small,
    #[label("small")]
    Tiny,
}

fn main() {}

use redspan::Label;

#[derive(Label)]
enum Size {
    #[label]
    Small,
}

fn main() {}

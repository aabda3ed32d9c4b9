use redspan::Label;

#[derive(Label)]
enum Size {
    #[label(rename = 3)]
    Small,
}

fn main() {}

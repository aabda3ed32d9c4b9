use redspan::Label;

#[derive(Label)]
enum Size {
    #[label("__overflow__")]
    Huge,
}

fn main() {}

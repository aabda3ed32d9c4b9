use redspan::Label;

#[derive(Label)]
enum Size {
    #[label(renam = "s")]
    Small,
}

fn main() {}

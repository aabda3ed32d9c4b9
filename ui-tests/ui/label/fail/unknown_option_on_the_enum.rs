use redspan::Label;

#[derive(Label)]
#[label(rename_al = "kebab-case")]
enum Size {
    Small,
}

fn main() {}

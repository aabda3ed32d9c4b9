use redspan::Label;

#[derive(Label)]
#[label(rename_all = "snakecase")]
enum Size {
    Small,
}

fn main() {}

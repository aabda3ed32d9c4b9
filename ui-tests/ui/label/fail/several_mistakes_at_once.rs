use redspan::Label;

#[derive(Label)]
#[label(rename_all = "loud", crat = redspan)]
enum Size {
    #[label(rename = "a", rename = "b", name = "c")]
    Small,
    #[label("a")]
    Large,
}

fn main() {
    assert_eq!(Size::Small.index(), Size::Large.index());
}

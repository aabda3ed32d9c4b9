//! Names, cases, variants that hold something, generics, keywords.
#![deny(warnings)]

use redspan::Label;

#[derive(Label)]
enum Plain {
    Ok,
    HTTPError,
    r#Type,
}

// What a variant holds is no part of its label.
#[allow(dead_code)]
#[derive(Label)]
#[label(rename_all = "SCREAMING_SNAKE_CASE")]
enum Renamed<'a, T>
where
    T: Clone,
{
    #[label("card")]
    CreditCard(&'a T, u8),
    #[label(rename = "iban")]
    Transfer { _iban: &'a str },
    GiftCard,
}

#[allow(dead_code)]
#[derive(Label)]
enum OnlyOne {
    One,
}

fn main() {
    assert_eq!(Plain::VALUES, ["ok", "http_error", "type"]);
    assert_eq!((Plain::r#Type.index(), Plain::HTTPError.as_str()), (2, "http_error"));
    assert_eq!(Plain::Ok.as_str(), "ok");
    let renamed = [
        Renamed::CreditCard(&(), 1),
        Renamed::Transfer { _iban: "" },
        Renamed::<()>::GiftCard,
    ];
    assert_eq!(renamed.map(|label| label.as_str()), ["card", "iban", "GIFT_CARD"]);
    assert_eq!(OnlyOne::VALUES, ["one"]);
    assert_eq!(<Option<bool>>::VALUES, ["none", "false", "true"]);
}

#![deny(warnings)]

use redspan::instrumented;

#[instrumented(labels(found = |result| result.is_ok(), text = capped(|result| format!("{result:?}"), 9)))]
fn look_up(n: u8) -> Result<u8, String> {
    if n == 0 { Err("none".to_owned()) } else { Ok(n) }
}

#[instrumented(labels(empty = |text| text.is_empty(), what = capped(|text| *text, 9)))]
fn borrowed(text: &str) -> &str {
    text
}

fn main() {
    assert_eq!(look_up(1), Ok(1));
    assert!(look_up(0).is_err());
    assert_eq!(borrowed("a"), "a");
}

//! The words that a name is made of.

/// `HttpError2` and `HTTPError2` have the same two words.
pub(crate) fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &this) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let begins = this.is_uppercase()
            && (before.is_some_and(|c| !c.is_uppercase())
                || chars.get(at + 1).is_some_and(|c| c.is_lowercase()));
        if begins || this == '_' {
            words.push(String::new());
        }
        if this != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(this);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `CardDeclined` is `card_declined`.
pub(crate) fn snake(name: &str) -> String {
    words(name).join("_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::snake;

    #[test]
    fn abbreviations_are_one_word() {
        assert_eq!(snake("CardDeclined"), "card_declined");
        assert_eq!(snake("HTTPError"), "http_error");
        assert_eq!(snake("Http404"), "http404");
        assert_eq!(snake("already_snake"), "already_snake");
    }
}

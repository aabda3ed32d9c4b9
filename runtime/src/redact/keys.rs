//! Secret keys, found without allocating: nearly every key that is asked about is none.

/// The keys that are secret unless a program says otherwise ([`Redaction::none`](super::Redaction::none)).
/// Case, `-` and `_` do not matter.
pub const KEYS: &[&str] = &[
    "access_key",
    "access_token",
    "api_key",
    "api_token",
    "auth_token",
    "authorization",
    "bearer_token",
    "card_number",
    "client_secret",
    "connection_string",
    "cookie",
    "credentials",
    "credit_card",
    "csrf_token",
    "cvc",
    "cvv",
    "id_token",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxy_authorization",
    "pwd",
    "refresh_token",
    "secret",
    "secret_access_key",
    "secret_key",
    "session_token",
    "set_cookie",
    "ssn",
    "token",
    "x_api_key",
];

/// A set of keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// Last parts, normalised.
    parts: Vec<Box<str>>,
    /// Whole names that have a dot, normalised.
    names: Vec<Box<str>>,
    /// Which pairs of a first and a last letter occur in `parts`, five bits each: a first look that
    /// most keys do not pass.
    letters: [u64; 16],
}

impl Keys {
    pub(super) fn add(&mut self, key: &str) {
        let normal: String = normalised(key).map(char::from).collect();
        if normal.is_empty() {
            return;
        }
        if normal.contains('.') {
            self.names.push(normal.into());
            return;
        }
        if let Some((word, bit)) = place(normal.as_bytes())
            && let Some(word) = self.letters.get_mut(word)
        {
            *word |= bit;
        }
        self.parts.push(normal.into());
    }

    #[inline]
    pub(super) fn contain(&self, key: &str) -> bool {
        let bytes = key.as_bytes();
        let dot = bytes.iter().rposition(|byte| *byte == b'.');
        let part = bytes.get(dot.map_or(0, |dot| dot + 1)..).unwrap_or_default();
        let possible = place(part)
            .and_then(|(word, bit)| Some(self.letters.get(word)? & bit != 0))
            .unwrap_or(false);
        (possible && is_one_of(part, &self.parts))
            || (dot.is_some() && !self.names.is_empty() && is_one_of(bytes, &self.names))
    }
}

#[cold]
fn is_one_of(key: &[u8], of: &[Box<str>]) -> bool {
    of.iter().any(|known| {
        let letters = key.iter().filter(|byte| !is_joint(**byte)).map(u8::to_ascii_lowercase);
        letters.eq(known.bytes())
    })
}

fn is_joint(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

fn normalised(key: &str) -> impl Iterator<Item = u8> {
    key.bytes().filter(|byte| !is_joint(*byte) && byte.is_ascii()).map(|it| it.to_ascii_lowercase())
}

/// Where the bit of this key's first and last letter is. Upper and lower case share their five bits.
#[inline]
fn place(part: &[u8]) -> Option<(usize, u64)> {
    let first = part.iter().find(|byte| !is_joint(**byte))?;
    let last = part.iter().rfind(|byte| !is_joint(**byte))?;
    let index = usize::from(first & 31) << 5 | usize::from(last & 31);
    Some((index >> 6, 1 << (index & 63)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &[&str]) -> Keys {
        let mut keys = Keys::default();
        of.iter().for_each(|key| keys.add(key));
        keys
    }

    #[test]
    fn spelling_does_not_matter_and_only_the_last_part_counts() {
        let keys = keys(KEYS);
        for secret in [
            "password",
            "Password",
            "db.password",
            "http.request.header.Set-Cookie",
            "apiKey",
            "API_KEY",
            "x-api-key",
            "__token__",
        ] {
            assert!(keys.contain(secret), "{secret}");
        }
        for open in [
            "",
            ".",
            "-",
            "passwords",
            "password.length",
            "tokens",
            "gen_ai.token.type",
            "order.id",
            "pass",
            "é",
            "path",
        ] {
            assert!(!keys.contain(open), "{open}");
        }
    }

    #[test]
    fn a_key_with_a_dot_is_the_whole_name() {
        let keys = keys(&["user.name"]);
        assert!(keys.contain("User.Name"));
        assert!(!keys.contain("name") && !keys.contain("shop.user.name"));
    }

    #[test]
    fn every_well_known_key_is_found() {
        let keys = keys(KEYS);
        assert!(KEYS.iter().all(|key| keys.contain(key)));
    }
}

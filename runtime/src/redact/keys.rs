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
    /// Last parts, normalised, each behind its first and last letter, in their order.
    parts: Vec<(u16, Box<str>)>,
    /// Whole names that have a dot, normalised.
    names: Vec<Box<str>>,
    /// Which pairs of letters they all end in: a first look that most keys do not pass, and for which no dot
    /// is looked for.
    endings: Pairs,
    /// Which first and last letters `parts` have: a second look.
    around: Pairs,
}

/// Pairs of letters, five bits each: upper and lower case share them.
#[derive(Clone, Debug, Default)]
struct Pairs([u64; 16]);

impl Pairs {
    fn add(&mut self, pair: u16) {
        if let Some(word) = self.0.get_mut(usize::from(pair >> 6)) {
            *word |= 1 << (pair & 63);
        }
    }

    #[inline]
    fn have(&self, pair: u16) -> bool {
        self.0.get(usize::from(pair >> 6)).is_some_and(|word| word >> (pair & 63) & 1 != 0)
    }
}

#[inline]
fn pair(one: u8, other: u8) -> u16 {
    u16::from(one & 31) << 5 | u16::from(other & 31)
}

impl Keys {
    pub(super) fn add(&mut self, key: &str) {
        let normal: String = normalised(key).map(char::from).collect();
        match normal.as_bytes() {
            [] => return,
            // Whatever stands before it: the dot, or nothing.
            [alone] => (0..32).for_each(|before| self.endings.add(pair(before, *alone))),
            [.., before, last] => self.endings.add(pair(*before, *last)),
        }
        if normal.contains('.') {
            self.names.push(normal.into());
        } else if let Some(letters) = first_and_last(normal.as_bytes()) {
            self.around.add(letters);
            let at = self.parts.partition_point(|(known, _)| *known < letters);
            self.parts.insert(at, (letters, normal.into()));
        }
    }

    #[inline]
    pub(super) fn contain(&self, key: &str) -> bool {
        let key = key.as_bytes();
        ending(key).is_some_and(|ending| self.endings.have(ending)) && self.have(key)
    }

    #[cold]
    fn have(&self, key: &[u8]) -> bool {
        let dot = key.iter().rposition(|byte| *byte == b'.');
        let part = key.get(dot.map_or(0, |dot| dot + 1)..).unwrap_or_default();
        let letters = first_and_last(part).filter(|letters| self.around.have(*letters));
        letters.is_some_and(|letters| self.have_part(part, letters))
            || (dot.is_some() && self.names.iter().any(|known| is_as(key, known)))
    }

    fn have_part(&self, part: &[u8], letters: u16) -> bool {
        let from = self.parts.partition_point(|(known, _)| *known < letters);
        let mut alike = self.parts.iter().skip(from).take_while(|(known, _)| *known == letters);
        alike.any(|(_, known)| is_as(part, known))
    }
}

/// Whether the key is this one, which is normalised.
fn is_as(key: &[u8], known: &str) -> bool {
    let letters = key.iter().filter(|byte| !is_joint(**byte)).map(u8::to_ascii_lowercase);
    letters.eq(known.bytes())
}

fn is_joint(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

fn normalised(key: &str) -> impl Iterator<Item = u8> {
    key.bytes().filter(|byte| !is_joint(*byte) && byte.is_ascii()).map(|it| it.to_ascii_lowercase())
}

/// The last two letters of a key; none if it has no letter.
#[inline]
fn ending(key: &[u8]) -> Option<u16> {
    match key {
        [.., before, last] if !is_joint(*before) && !is_joint(*last) => Some(pair(*before, *last)),
        _ => ending_of_few(key),
    }
}

#[cold]
fn ending_of_few(key: &[u8]) -> Option<u16> {
    let mut letters = key.iter().rev().filter(|byte| !is_joint(**byte));
    let last = letters.next()?;
    Some(pair(*letters.next().unwrap_or(&0), *last))
}

fn first_and_last(part: &[u8]) -> Option<u16> {
    let first = part.iter().find(|byte| !is_joint(**byte))?;
    let last = part.iter().rfind(|byte| !is_joint(**byte))?;
    Some(pair(*first, *last))
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

    /// What the documentation says, in so many words.
    fn plainly(of: &[&str], key: &str) -> bool {
        let normal = |key: &str| {
            let letters = key.chars().filter(|letter| !matches!(letter, '-' | '_'));
            letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>()
        };
        let (whole, part) = (normal(key), normal(key.rsplit('.').next().unwrap_or_default()));
        of.iter().map(|known| normal(known)).any(|known| match known.contains('.') {
            true => known == whole,
            false => !known.is_empty() && known == part,
        })
    }

    #[test]
    fn a_quick_look_finds_what_a_plain_search_finds() {
        let more = ["user.name", "x", "a.b", "Q-1", "i_b.an", "n.", "-", "."];
        let known: Vec<&str> = KEYS.iter().copied().chain(more).collect();
        let keys = keys(&known);
        let open = [
            "http.request.method",
            "http.response.status_code",
            "http.route",
            "url.path",
            "url.scheme",
            "url.query",
            "server.address",
            "server.port",
            "network.peer.address",
            "user_agent.original",
            "network.protocol.version",
            "db.system.name",
            "db.query.text",
            "db.operation.name",
            "db.response.returned_rows",
            "error.type",
            "exception.message",
            "code.function.name",
            "code.line.number",
            "redspan.outcome",
            "order.id",
            "customer",
            "message",
            "é",
            "naïve.token",
        ];
        let mut dice: u64 = 7;
        let mut up_to = |most: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) as usize % (most + 1)
        };
        let (mut found, mut asked) = (0, 0);
        for base in known.iter().copied().chain(open) {
            for round in 0..400 {
                // As it is first; then one to three changes, most of which leave nothing secret.
                let mut key: Vec<char> = base.chars().collect();
                for _ in 0..up_to(2) + usize::from(round > 0) {
                    let at = up_to(key.len());
                    let letter = ['-', '_', '.', 'a', 'T', 'y', 'é', '\0'][up_to(7)];
                    match up_to(5) {
                        0 | 1 => key.insert(at, ['-', '_'][up_to(1)]),
                        2 => key.iter_mut().for_each(|it| *it = it.to_ascii_uppercase()),
                        3 => key.insert(at, letter),
                        4 if at < key.len() => _ = key.remove(at),
                        _ => key = "shop.".chars().chain(key).collect(),
                    }
                }
                let key: String = key.into_iter().collect();
                let expected = plainly(&known, &key);
                assert_eq!(keys.contain(&key), expected, "{key:?}");
                (found, asked) = (found + usize::from(expected), asked + 1);
            }
        }
        assert!(found > asked / 10 && found < asked / 2, "{found} of {asked}");
    }
}

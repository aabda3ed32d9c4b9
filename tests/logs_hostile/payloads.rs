//! What strangers send.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Part of every secret: it must come out nowhere.
pub(crate) const CANARY: &str = "hunter2canary";

/// A small generator, so that every run logs the same.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Lines within lines, for whoever believes a newline, and what else ends one or drives a terminal.
const FORGED: &[&str] = &[
    "\n{\"timestamp\":\"2026-01-01T00:00:00Z\",\"severity\":\"ERROR\",\"message\":\"forged\",\"n\":0}\n",
    "\r\n12:00:00.000 ERROR forged: forged n=0\r\n",
    "\",\"n\":0,\"forged\":\"",
    "\"}\n{\"message\":\"forged\"}",
    "\u{2028}{\"message\":\"forged\"}\u{2029}",
    "\u{85}forged\u{b}forged\u{c}forged",
    "\u{1b}[2J\u{1b}]0;forged\u{7}\u{9b}31m",
    "\u{0}\u{1}\u{1f}\u{7f}\u{80}\u{9f}",
    "\u{202e}desrever\u{2066}x\u{2069}",
    "\\\\\\\" \\u000a \\n",
    "\u{feff}\u{fffd}\u{fffe}\u{ffff}🦀\u{10ffff}e\u{301}",
    "{{{{[[[[",
    "",
    "plain",
];

/// What no redaction by pattern may let through, each with the canary in its secret part.
fn secret(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => format!("postgres://till:{CANARY}@db:5432/shop"),
        1 => format!("Authorization: Bearer {CANARY}.{CANARY}=="),
        2 => format!("eyJhbGciOiJIUzI1NiJ9.{CANARY}{CANARY}.sig-{CANARY}"),
        3 => format!("{CANARY}@mail.example.org"),
        4 => format!("https://a.example/cb?state=1&access_token={CANARY}&x=2"),
        5 => format!("Login {{ user: \"ann\", password: \"{CANARY}\" }}"),
        6 => format!("{{\"api_key\": \"{CANARY}\", \"card\": \"4111 1111 1111 1111\"}}"),
        // One that is long, and may lie across a cut.
        _ => format!("eyJhbGciOiJIUzI1NiJ9.{}.sig", CANARY.repeat(200)),
    }
}

/// Boxes in boxes.
pub(crate) enum Nested {
    Leaf(String),
    Node(Box<Nested>),
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nested::Leaf(text) => f.debug_tuple("Leaf").field(text).finish(),
            Nested::Node(inner) => f.debug_struct("Node").field("inner", inner).finish(),
        }
    }
}

/// An error with causes.
#[derive(Debug)]
pub(crate) struct Wound {
    text: String,
    source: Option<Box<Wound>>,
}

impl fmt::Display for Wound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Wound {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What one line is made of.
pub(crate) struct Payload {
    pub(crate) shape: u64,
    pub(crate) text: String,
    /// Secrets that patterns find, among what is none.
    pub(crate) secret_text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) path: PathBuf,
    pub(crate) nested: Nested,
    long: usize,
}

impl Payload {
    pub(crate) fn new(rng: &mut Rng) -> Payload {
        let shape = match rng.next() % 256 {
            0 => 13,
            other => other % 13,
        };
        let mut text = String::new();
        for _ in 0..rng.below(4) + 1 {
            text.push_str(rng.one_of(FORGED));
            text.extend(char::from_u32(rng.next() as u32 % 0x3000));
        }
        let hidden = secret(rng);
        let secret_text = format!("{text} {hidden} {}", rng.one_of(FORGED));
        // Whatever bytes: a path, a header, what a peer sent.
        let bytes: Vec<u8> = (0..rng.below(64)).map(|_| rng.next() as u8).collect();
        let path = PathBuf::from(OsString::from_vec([b"/tmp/\xff\xfe\n", &*bytes].concat()));
        let mut nested = Nested::Leaf(text.clone());
        for _ in 0..rng.below(200) {
            nested = Nested::Node(Box::new(nested));
        }
        Payload { shape, text, secret_text, bytes, path, nested, long: rng.below(60_000) }
    }

    /// A secret that only its key tells.
    pub(crate) fn secret_value(&self) -> &'static str {
        CANARY
    }

    pub(crate) fn wound(&self, deep: usize) -> Wound {
        let mut wound = Wound { text: self.secret_text.clone(), source: None };
        for _ in 0..deep {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            wound = Wound { text: text + &self.secret_text, source: Some(Box::new(wound)) };
        }
        wound
    }

    pub(crate) fn utf8_error(&self) -> String {
        match String::from_utf8(self.bytes.clone()) {
            Ok(text) => text,
            Err(error) => format!("{error}: {}", String::from_utf8_lossy(error.as_bytes())),
        }
    }

    pub(crate) fn io_error(&self) -> io::Error {
        std::fs::read(&self.path)
            .map_or_else(|error| error, |_| io::Error::other(self.utf8_error()))
    }

    /// Longer than a value may be, with a secret about where it is cut.
    pub(crate) fn huge(&self) -> String {
        let before = self.text.repeat(self.long / self.text.len().max(1) + 1);
        format!("{before} {} {before}", self.secret_text)
    }
}

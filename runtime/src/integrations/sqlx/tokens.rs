//! The words, strings and signs of a query, as its dialect reads them.

use std::cell::Cell;

/// Whose words a query is written in: they quote and comment in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
    /// Whichever way it quotes, nothing of a string is shown.
    Other,
}

impl Dialect {
    /// Whether `\` escapes the next character of any string, as far as the dialect says it.
    fn escapes(self) -> Escapes {
        match self {
            Dialect::Sqlite => Escapes::Known(false),
            Dialect::Postgres => Escapes::BySession { usually: false },
            Dialect::MySql => Escapes::BySession { usually: true },
            Dialect::Other => Escapes::Unknown,
        }
    }

    /// `$tag$…$tag$` is a string.
    fn has_dollar_quotes(self) -> bool {
        matches!(self, Dialect::Postgres | Dialect::Other)
    }

    /// In `E'…'` a backslash escapes.
    fn has_marked_escapes(self) -> bool {
        matches!(self, Dialect::Postgres | Dialect::Other)
    }

    /// `/*! … */` may be run, and `/*M! … */`, and `/*+ … */` is read.
    fn runs_comments(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::Other)
    }

    /// `/* … */` may nest.
    fn nests_comments(self) -> bool {
        matches!(self, Dialect::Postgres | Dialect::Other)
    }
}

/// Whether `\` escapes the next character of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    Known(bool),
    /// As most sessions have it, unless this one's `sql_mode` has `NO_BACKSLASH_ESCAPES`, or it turned
    /// `standard_conforming_strings` off: no string where that matters was met yet.
    BySession {
        usually: bool,
    },
    /// Read either way all strings are closed: only what is no string to both is shown.
    Either,
    /// Behind a string with a `\` nothing is known.
    Unknown,
}

/// What a query consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A word: keyword or name, also a quoted one.
    Word(&'a str),
    /// In double quotes: a name, or to SQLite a string, where there is no such name. To MySQL what begins with a digit.
    WordOrLiteral(&'a str),
    /// A string or a number.
    Literal,
    /// `$1`, `?`, `:name`, `@name`.
    Placeholder(&'a str),
    Other(&'a str),
    Space,
}

/// Reads a query, token by token.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    dialect: Dialect,
    escapes: Escapes,
    /// A string was not closed.
    is_open: bool,
    /// More follows than is read.
    pub(super) is_cut: bool,
}

/// Bytes of a query that are read: whoever writes values into it may send any number of them, each time others.
const READ: usize = 64 * 1024;

/// The end of what begins with a quote and ends with `quote`, unless it is not closed: whether `\` escapes.
fn end_of_quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' && escapes {
            chars.next();
        } else if char == quote {
            match chars.peek() {
                Some(&(_, next)) if next == quote => {
                    chars.next();
                }
                _ => return Some(at + quote.len_utf8()),
            }
        }
    }
    None
}

/// The end of what follows the mark in `E'…'`: it goes on behind a line's end, escapes and all.
fn end_of_escaped(text: &str) -> Option<usize> {
    let mut end = 0;
    loop {
        end += end_of_quoted(&text[end..], '\'', true)?;
        let mut next = text[end..].trim_start_matches(is_blank);
        // Each line may have a comment.
        while next.starts_with("--") {
            let line = next.find(['\n', '\r']);
            next = line.map_or("", |line| next[line..].trim_start_matches(is_blank));
        }
        let blank = &text[end..text.len() - next.len()];
        if !blank.contains(['\n', '\r']) || !next.starts_with('\'') {
            return Some(end);
        }
        end += blank.len();
    }
}

/// Nothing that is not ASCII is blank to a database.
fn is_blank(char: char) -> bool {
    char.is_ascii_whitespace() || char == '\u{b}'
}

/// All databases have it that whatever is not ASCII belongs to a name: letters of many languages consist of several
/// characters, some of which are none by themselves.
pub(super) fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$') || !char.is_ascii()
}

fn begins_placeholder(char: char) -> bool {
    is_word(char) && char != '$' && !char.is_ascii_digit()
}

fn word_length(text: &str) -> usize {
    text.find(|char| !is_word(char)).unwrap_or(text.len())
}

/// The length of what names a placeholder: a number, or a word, which a `$` does not belong to.
fn placeholder_length(text: &str) -> usize {
    let belongs: fn(char) -> bool = match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => |c| c.is_ascii_digit(),
        false => |c| is_word(c) && c != '$',
    };
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of a number such as `17`, `.5`, `1e-9`, `0xff`.
fn number_length(text: &str) -> usize {
    let mut before = ' ';
    let end = text.find(|char: char| {
        let belongs = char.is_ascii_alphanumeric()
            || matches!(char, '.' | '_')
            || (matches!(char, '+' | '-') && matches!(before, 'e' | 'E'));
        before = char;
        !belongs
    });
    end.unwrap_or(text.len())
}

/// The length of a name that begins with a digit, as MySQL's may: `2024_orders`, and not `0xff` or `1e9`.
fn digits_name_length(text: &str) -> Option<usize> {
    let (length, digits) = (word_length(text), text.find(|c: char| !c.is_ascii_digit())?);
    let after = text.get(digits..length).filter(|after| !after.is_empty() && digits > 0)?;
    let is_hex = text.starts_with("0x") || text.starts_with("0b");
    let is_power = after
        .strip_prefix(['e', 'E'])
        .is_some_and(|power| power.is_empty() || power.starts_with(|c: char| c.is_ascii_digit()));
    (!is_hex && !is_power).then_some(length)
}

/// The end of `/* … */`.
fn end_of_comment(text: &str, nests: bool) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        if text[at..].starts_with("/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.rest;
        let first = text.chars().next()?;
        let ends_line = |c| c == '\n' || c == '\r' && self.dialect == Dialect::Postgres;
        let line = || text.find(ends_line).unwrap_or(text.len());
        let after_first = &text[first.len_utf8()..];
        // What is not closed is the end, and nothing of it is shown.
        let literal: fn(&'a str) -> Token<'a> = |_| Token::Literal;
        let is_open = Cell::new(false);
        let quoted = |end: Option<usize>, token| {
            is_open.set(end.is_none());
            end.map_or((text.len(), literal), |end| (end, token))
        };
        let string = |end| quoted(end, literal);
        let (length, token): (usize, fn(&'a str) -> Token<'a>) = match (first, self.dialect) {
            _ if is_blank(first) => {
                (text.find(|c| !is_blank(c)).unwrap_or(text.len()), |_| Token::Space)
            }
            ('-', _) if self.is_dashed_comment() => (line(), |_| Token::Space),
            ('#', Dialect::MySql) => (line(), |_| Token::Space),
            ('/', _) if text.starts_with("/*") => match self.end_of_comment() {
                Some(end) => (end, |_| Token::Space),
                None => (text.len(), literal),
            },
            ('\'', _) => string(self.end_of_string(0)),
            ('"', Dialect::MySql | Dialect::Other) => string(self.end_of_string(0)),
            ('"', Dialect::Sqlite) => quoted(end_of_quoted(text, '"', false), Token::WordOrLiteral),
            ('"', _) => quoted(end_of_quoted(text, '"', false), Token::Word),
            ('`', Dialect::MySql | Dialect::Sqlite | Dialect::Other) => {
                quoted(end_of_quoted(text, '`', false), Token::Word)
            }
            ('[', Dialect::Sqlite) => quoted(text.find(']').map(|at| at + 1), Token::Word),
            ('$', _) if after_first.starts_with(|c: char| c.is_ascii_digit()) => {
                (1 + placeholder_length(after_first), Token::Placeholder)
            }
            ('$', dialect) if dialect.has_dollar_quotes() => match self.dollar_quoted() {
                Some(length) => (length, |_| Token::Literal),
                None => (1, Token::Other),
            },
            // `?1` is SQLite's; elsewhere it is a sign before a number.
            ('?', Dialect::Sqlite | Dialect::Other)
                if after_first.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                (1 + placeholder_length(after_first), Token::Placeholder)
            }
            ('?', _) => (1, Token::Placeholder),
            (':', _) if text.starts_with("::") => (2, Token::Other),
            (':' | '@' | '$', Dialect::MySql | Dialect::Sqlite | Dialect::Other)
                if after_first.starts_with(begins_placeholder) =>
            {
                (1 + placeholder_length(after_first), Token::Placeholder)
            }
            ('.', Dialect::MySql) if digits_name_length(after_first).is_some() => (1, Token::Other),
            ('.', _) if after_first.starts_with(|c: char| c.is_ascii_digit()) => {
                (number_length(text), |_| Token::Literal)
            }
            (_, Dialect::MySql) if let Some(length) = digits_name_length(text) => {
                (length, Token::WordOrLiteral)
            }
            _ if first.is_ascii_digit() => (number_length(text), |_| Token::Literal),
            (_, dialect) if is_word(first) => {
                let length = word_length(text);
                // `E'…'`, `X'…'`, `N'…'`: a string with a mark before it.
                if length == 1 && after_first.starts_with('\'') {
                    let is_marked = dialect.has_marked_escapes() && matches!(first, 'e' | 'E');
                    string(match is_marked {
                        true => end_of_escaped(after_first).map(|end| end + 1),
                        false => self.end_of_string(1),
                    })
                } else {
                    (length, Token::Word)
                }
            }
            _ => (first.len_utf8(), Token::Other),
        };
        self.is_open |= is_open.get();
        let (taken, rest) = text.split_at(length);
        self.rest = rest;
        Some(token(taken))
    }
}

impl<'a> Tokens<'a> {
    pub(super) fn new(rest: &'a str, dialect: Dialect) -> Self {
        let is_cut = rest.len() > READ;
        let rest = &rest[..rest.floor_char_boundary(READ)];
        Tokens { rest, dialect, escapes: dialect.escapes(), is_open: false, is_cut }
    }

    /// The end of the string whose quote is there, unless it is not closed, or nobody knows where.
    fn end_of_string(&mut self, at: usize) -> Option<usize> {
        let text = &self.rest[at..];
        let quote = if text.starts_with('"') { '"' } else { '\'' };
        let end = |escapes| end_of_quoted(text, quote, escapes).map(|end| at + end);
        if let Escapes::Known(escapes) = self.escapes {
            return end(escapes);
        }
        let ends = [end(false), end(true)];
        match self.escapes {
            Escapes::Unknown => ends[0].filter(|end| !text[..end - at].contains('\\')),
            _ if ends[0] == ends[1] => ends[0],
            Escapes::BySession { usually } => {
                // What a server takes leaves no string open: whoever finds one misreads it.
                let closes = |escapes: bool| {
                    let end = ends[usize::from(escapes)];
                    end.is_some_and(|end| self.reading(end, escapes).closes())
                };
                self.escapes = match (closes(usually), closes(!usually)) {
                    (true, false) => Escapes::Known(usually),
                    (true, true) => Escapes::Either,
                    (false, _) => return None,
                };
                self.end_of_string(at)
            }
            _ => self.where_both_meet(ends[0]?, ends[1]?),
        }
    }

    /// Reads on behind `end`, as somebody who knows whether `\` escapes.
    fn reading(&self, end: usize, escapes: bool) -> Tokens<'a> {
        let escapes = Escapes::Known(escapes);
        let Tokens { rest, dialect, is_cut, .. } = *self;
        Tokens { rest: &rest[end..], dialect, escapes, is_open: false, is_cut }
    }

    /// Whether all strings are closed, or may be where nobody reads.
    fn closes(mut self) -> bool {
        self.is_cut || {
            self.by_ref().for_each(drop);
            !self.is_open
        }
    }

    /// Where both are between two tokens: who ends a string here, and who goes on, since the quote was escaped.
    fn where_both_meet(&self, plain: usize, escaped: usize) -> Option<usize> {
        let all = self.rest.len();
        let mut plain = self.reading(plain, false);
        let mut escaping = self.reading(escaped, true);
        while plain.rest.len() != escaping.rest.len() {
            // Whoever has more to read.
            let behind = match plain.rest.len() > escaping.rest.len() {
                true => &mut plain,
                false => &mut escaping,
            };
            behind.next()?;
        }
        Some(all - plain.rest.len())
    }

    /// `--`, and to MySQL only before something blank: `5--1` is six.
    fn is_dashed_comment(&self) -> bool {
        let Some(after) = self.rest.strip_prefix("--") else { return false };
        let is_over = |c: char| c == ' ' || c.is_ascii_control();
        self.dialect != Dialect::MySql || after.is_empty() || after.starts_with(is_over)
    }

    /// The end of the comment that is there, unless it may be run, and would then end elsewhere: `/*! 'a */ b' */`.
    fn end_of_comment(&self) -> Option<usize> {
        let end = end_of_comment(self.rest, self.dialect.nests_comments());
        let mark = ["/*!", "/*M!", "/*+"].into_iter().find(|mark| self.rest.starts_with(mark));
        let Some(mark) = mark.filter(|_| self.dialect.runs_comments()) else { return Some(end) };
        let is_same = |escapes| {
            let mut run = self.reading(mark.len(), escapes);
            while !run.rest.starts_with("*/") {
                // Where another one begins, versions differ in what they make of it.
                if run.rest.starts_with("/*") || run.next().is_none() {
                    return false;
                }
            }
            self.rest.len() - run.rest.len() + "*/".len() == end
        };
        match self.escapes {
            Escapes::Known(escapes) => is_same(escapes),
            _ => is_same(false) && is_same(true),
        }
        .then_some(end)
    }

    /// The length of `$tag$…$tag$`, if one begins here.
    fn dollar_quoted(&self) -> Option<usize> {
        let text = self.rest;
        let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        let tag = text[1..].find(|c| !belongs(c))? + 1;
        if !text[tag..].starts_with('$') {
            return None;
        }
        let tag = &text[..=tag];
        let end = text[tag.len()..].find(tag).map(|at| tag.len() + at + tag.len());
        Some(end.unwrap_or(text.len()))
    }
}

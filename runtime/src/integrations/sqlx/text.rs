//! What may be shown of a query: its text without its literals, its verb and its table.

/// How a dialect quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// `"…"` is a string, not a name.
    pub(super) double_quoted_strings: bool,
    /// `\` escapes the next character of any string.
    pub(super) backslashes: bool,
    /// `$tag$…$tag$` is a string.
    pub(super) dollar_quotes: bool,
    /// `#` begins a comment.
    pub(super) hash_comments: bool,
}

/// Bytes of a query's text; the rest is cut.
const MAX_TEXT: usize = 2048;

/// What is known of a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The text with `?` for each literal, without comments.
    pub(super) text: String,
    /// The verb: `SELECT`.
    pub(super) operation: String,
    /// The first table that is named.
    pub(super) collection: Option<String>,
}

impl Shown {
    /// `SELECT orders`
    pub(super) fn summary(&self) -> String {
        match &self.collection {
            Some(collection) => format!("{} {collection}", self.operation),
            None => self.operation.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A word: keyword or name, also a quoted one.
    Word(&'a str),
    /// A string or a number.
    Literal,
    /// `$1`, `?`, `:name`, `@name`.
    Placeholder(&'a str),
    Other(&'a str),
    Space,
}

struct Tokens<'a> {
    rest: &'a str,
    dialect: Dialect,
}

/// The end of a string that begins with `quote`; all of the rest, if it is not closed: then nothing
/// of it is shown.
fn end_of_quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' && backslashes {
            chars.next();
        } else if char == quote {
            match chars.peek() {
                Some(&(_, next)) if next == quote => {
                    chars.next();
                }
                _ => return at + quote.len_utf8(),
            }
        }
    }
    text.len()
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '$'
}

fn word_length(text: &str) -> usize {
    text.find(|char| !is_word(char)).unwrap_or(text.len())
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

/// The end of `/* … */`, which may nest.
fn end_of_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        if text[at..].starts_with("/*") {
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
        let line = || text.find('\n').unwrap_or(text.len());
        let after_first = &text[first.len_utf8()..];
        let (length, token): (usize, fn(&'a str) -> Token<'a>) = match first {
            _ if first.is_whitespace() => {
                (text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len()), |_| Token::Space)
            }
            '-' if text.starts_with("--") => (line(), |_| Token::Space),
            '#' if self.dialect.hash_comments => (line(), |_| Token::Space),
            '/' if text.starts_with("/*") => (end_of_comment(text), |_| Token::Space),
            '\'' => (end_of_quoted(text, '\'', self.dialect.backslashes), |_| Token::Literal),
            '"' if self.dialect.double_quoted_strings => {
                (end_of_quoted(text, '"', self.dialect.backslashes), |_| Token::Literal)
            }
            '"' => (end_of_quoted(text, '"', false), Token::Word),
            '`' => (end_of_quoted(text, '`', false), Token::Word),
            '$' if after_first.starts_with(|c: char| c.is_ascii_digit()) => {
                (1 + word_length(after_first), Token::Placeholder)
            }
            '$' if self.dialect.dollar_quotes => match self.dollar_quoted() {
                Some(length) => (length, |_| Token::Literal),
                None => (1, Token::Other),
            },
            '?' => (1 + word_length(after_first), Token::Placeholder),
            ':' if text.starts_with("::") => (2, Token::Other),
            ':' | '@' | '$' if after_first.starts_with(is_word) => {
                (1 + word_length(after_first), Token::Placeholder)
            }
            '.' if after_first.starts_with(|c: char| c.is_ascii_digit()) => {
                (number_length(text), |_| Token::Literal)
            }
            _ if first.is_ascii_digit() => (number_length(text), |_| Token::Literal),
            _ if is_word(first) => {
                let length = word_length(text);
                // `E'…'`, `X'…'`, `N'…'`: a string with a mark before it.
                if length == 1 && after_first.starts_with('\'') {
                    let escapes = self.dialect.backslashes || matches!(first, 'e' | 'E');
                    (1 + end_of_quoted(after_first, '\'', escapes), |_| Token::Literal)
                } else {
                    (length, Token::Word)
                }
            }
            _ => (first.len_utf8(), Token::Other),
        };
        let (taken, rest) = text.split_at(length);
        self.rest = rest;
        Some(token(taken))
    }
}

impl Tokens<'_> {
    /// The length of `$tag$…$tag$`, if one begins here.
    fn dollar_quoted(&self) -> Option<usize> {
        let text = self.rest;
        let tag = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
        if !text[tag..].starts_with('$') {
            return None;
        }
        let tag = &text[..=tag];
        let end = text[tag.len()..].find(tag).map(|at| tag.len() + at + tag.len());
        Some(end.unwrap_or(text.len()))
    }
}

/// Verbs, by which operations are named. Another first word names itself only as `OTHER`: it might
/// be anything.
const VERBS: [&str; 34] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "REPLACE",
    "UPSERT",
    "VALUES",
    "TABLE",
    "COPY",
    "CALL",
    "DO",
    "BEGIN",
    "START",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "SHOW",
    "EXPLAIN",
    "PRAGMA",
    "LISTEN",
    "NOTIFY",
    "LOCK",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "VACUUM",
    "ANALYZE",
    "REFRESH",
    "GRANT",
    "WITH",
];

/// Words before a table's name.
const BEFORE_TABLE: [&str; 5] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE"];

/// Words that may stand between those and the name.
const BETWEEN: [&str; 5] = ["IF", "NOT", "EXISTS", "ONLY", "LATERAL"];

fn unquoted(word: &str) -> &str {
    let quoted = word.len() >= 2 && word.starts_with(['"', '`']);
    if quoted { &word[1..word.len() - 1] } else { word }
}

/// Reads a query.
pub(super) fn shown(query: &str, dialect: Dialect) -> Shown {
    let mut text = String::with_capacity(query.len().min(MAX_TEXT));
    let mut verb = None;
    let mut collection: Option<String> = None;
    let mut expects_table = false;
    let mut continues_name = false;
    let mut depth = 0usize;
    let mut is_cut = false;
    for token in (Tokens { rest: query, dialect }) {
        match token {
            Token::Word(word) => {
                let upper = word.to_ascii_uppercase();
                let known = VERBS.iter().find(|known| **known == upper).copied();
                // The verb of `WITH … AS (…) UPDATE …` is the one outside of the parentheses.
                if depth == 0 && matches!(verb, None | Some("WITH")) {
                    verb = known.or(verb).or(Some("OTHER"));
                }
                if continues_name {
                    if let Some(collection) = &mut collection {
                        collection.push('.');
                        collection.push_str(unquoted(word));
                    }
                    continues_name = false;
                } else if BEFORE_TABLE.contains(&&*upper) {
                    expects_table = collection.is_none();
                } else if expects_table && !BETWEEN.contains(&&*upper) {
                    collection = Some(unquoted(word).to_owned());
                    expects_table = false;
                }
            }
            Token::Other("(") => {
                depth += 1;
                // A subquery, whose own table follows.
                expects_table = false;
            }
            Token::Other(")") => depth = depth.saturating_sub(1),
            Token::Other(".") => {
                continues_name = collection.is_some() && text.ends_with(is_name_end)
            }
            _ => expects_table &= token == Token::Space,
        }
        if !matches!(token, Token::Other(".") | Token::Word(_)) {
            continues_name = false;
        }
        if is_cut {
            continue;
        }
        let part = match token {
            Token::Word(part) | Token::Placeholder(part) | Token::Other(part) => part,
            Token::Literal => "?",
            Token::Space if text.is_empty() || text.ends_with(' ') => "",
            Token::Space => " ",
        };
        if text.len() + part.len() > MAX_TEXT {
            text.push('…');
            is_cut = true;
        } else {
            text.push_str(part);
        }
    }
    text.truncate(text.trim_end().len());
    let operation = verb.unwrap_or("OTHER").to_owned();
    Shown { text, operation, collection: collection.filter(|name| name.len() <= 128) }
}

fn is_name_end(char: char) -> bool {
    is_word(char) || matches!(char, '"' | '`')
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTGRES: Dialect = Dialect {
        double_quoted_strings: false,
        backslashes: false,
        dollar_quotes: true,
        hash_comments: false,
    };
    const MYSQL: Dialect = Dialect {
        double_quoted_strings: true,
        backslashes: true,
        dollar_quotes: false,
        hash_comments: true,
    };

    #[test]
    fn literals_are_hidden_and_placeholders_are_not() {
        for (query, expected) in [
            (
                "SELECT * FROM t WHERE a = 'it''s' AND b = 17",
                "SELECT * FROM t WHERE a = ? AND b = ?",
            ),
            ("SELECT $1::int, :name, ?2", "SELECT $1::int, :name, ?2"),
            ("SELECT -1.5e-3, .5, 0xff, 1_000", "SELECT -?, ?, ?, ?"),
            (r"SELECT 'a\', b", "SELECT ?, b"),
            (r"SELECT E'a\'secret', b", "SELECT ?, b"),
            ("SELECT $$a'secret$$, $q$ $$ secret $q$", "SELECT ?, ?"),
            ("SELECT 'secret", "SELECT ?"),
            ("SELECT 1 -- secret\n  , /* secret /* nested */ secret */ 2", "SELECT ? , ?"),
            ("SELECT col1, t2.c3 FROM \"Odd name\"", "SELECT col1, t2.c3 FROM \"Odd name\""),
            ("  SELECT\n\t1  ", "SELECT ?"),
            ("SELECT a->>'secret' FROM t WHERE b @> '{}'", "SELECT a->>? FROM t WHERE b @> ?"),
            ("SELECT 'größe', ü FROM ß", "SELECT ?, ü FROM ß"),
        ] {
            assert_eq!(shown(query, POSTGRES).text, expected, "{query}");
        }
        for (query, expected) in [
            (r#"SELECT "secret", 'a\'secret'"#, "SELECT ?, ?"),
            ("SELECT `a` FROM `b` # secret", "SELECT `a` FROM `b`"),
        ] {
            assert_eq!(shown(query, MYSQL).text, expected, "{query}");
        }
    }

    #[test]
    fn a_query_is_summed_up_by_its_verb_and_first_table() {
        for (query, expected) in [
            ("select * from orders o join users u on true", "SELECT orders"),
            ("INSERT INTO shop.orders (id) VALUES (1)", "INSERT shop.orders"),
            ("UPDATE \"Orders\" SET a = 1", "UPDATE Orders"),
            ("DELETE FROM ONLY orders", "DELETE orders"),
            ("WITH x AS (SELECT 1 FROM a) UPDATE b SET c = 1", "UPDATE a"),
            ("SELECT 1", "SELECT"),
            ("CREATE TABLE IF NOT EXISTS orders (id int)", "CREATE orders"),
            ("SELECT * FROM (SELECT * FROM inner_table) x", "SELECT inner_table"),
            ("BEGIN", "BEGIN"),
            ("secret words", "OTHER"),
            ("", "OTHER"),
        ] {
            assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_never_inside_a_literal() {
        let query =
            format!("SELECT '{}' FROM orders WHERE a IN ({})", "x".repeat(9000), "1,".repeat(9000));
        let shown = shown(&query, POSTGRES);
        assert!(shown.text.len() <= MAX_TEXT + '…'.len_utf8());
        assert!(shown.text.ends_with('…') && shown.text.starts_with("SELECT ? FROM orders"));
        assert_eq!(shown.collection.as_deref(), Some("orders"));
    }

    #[test]
    fn no_text_is_too_strange() {
        let odd = [
            "'", "\"", "$", "$a", "$a$", "/*", "*/", "/", "--", "?", ":", "@", ".", "1e", "ß'",
            "\\", "E'", "(",
        ];
        for a in odd {
            for b in odd {
                for c in odd {
                    for dialect in [POSTGRES, MYSQL] {
                        shown(&format!("{a}{b}{c}"), dialect);
                    }
                }
            }
        }
    }
}

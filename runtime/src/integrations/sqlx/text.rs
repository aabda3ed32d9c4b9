//! What may be shown of a query: its text without its literals, its verb and its table.

#[cfg(test)]
mod tests;

use super::tokens::{Dialect, Token, Tokens, is_word};
use std::borrow::Cow;

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
    /// The procedure that is called.
    pub(super) procedure: Option<String>,
}

impl Shown {
    /// What is known by its verb alone.
    pub(super) fn verb(operation: &str) -> Self {
        let (text, operation) = (operation.to_owned(), operation.to_owned());
        Shown { text, operation, collection: None, procedure: None }
    }

    /// `SELECT orders`
    pub(super) fn summary(&self) -> String {
        match self.collection.as_ref().or(self.procedure.as_ref()) {
            Some(target) => format!("{} {target}", self.operation),
            None => self.operation.clone(),
        }
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

/// Verbs too, but only where a query begins: elsewhere they are names, as of a column `comment`.
const FIRST_VERBS: [&str; 41] = [
    "END",
    "ABORT",
    "KILL",
    "ATTACH",
    "DETACH",
    "CHECKPOINT",
    "CLUSTER",
    "DESC",
    "FLUSH",
    "HANDLER",
    "IMPORT",
    "OPTIMIZE",
    "REASSIGN",
    "RENAME",
    "UNLOCK",
    "XA",
    "DECLARE",
    "FETCH",
    "MOVE",
    "CLOSE",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "REVOKE",
    "RESET",
    "DISCARD",
    "UNLISTEN",
    "COMMENT",
    "REINDEX",
    "USE",
    "DESCRIBE",
    "LOAD",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "INSTALL",
    "PURGE",
    "REPAIR",
    "STOP",
    "UNINSTALL",
];

/// Verbs that begin a query in parentheses, or behind a list of `WITH`: there others are names, as of a
/// function `replace`.
const BEGINS_QUERY: [&str; 8] =
    ["SELECT", "VALUES", "TABLE", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// Verbs that a table's name may follow at once, or a procedure's: `INTO` may be missing to MySQL.
const NAMES_TABLE: [&str; 5] = ["TRUNCATE", "COPY", "INSERT", "REPLACE", "CALL"];

/// As [`NAMES_TABLE`], to PostgreSQL alone: to SQLite an index or a database may follow.
const NAMES_TABLE_TO_POSTGRES: [&str; 4] = ["LOCK", "VACUUM", "ANALYZE", "CLUSTER"];

/// As [`NAMES_TABLE`], to MySQL alone: `EXPLAIN orders`.
const NAMES_TABLE_TO_MYSQL: [&str; 4] = ["EXPLAIN", "DESCRIBE", "DESC", "HANDLER"];

/// Verbs behind which a word says what is named, and only a table or a view is a collection: what else is
/// read in a view's query, or in a trigger's or a function's body, is not what is created.
const BY_KIND: [&str; 5] = ["CREATE", "ALTER", "DROP", "REFRESH", "COMMENT"];

/// What may stand before that word.
const BEFORE_KIND: [&str; 20] = [
    "OR",
    "REPLACE",
    "TEMP",
    "TEMPORARY",
    "GLOBAL",
    "LOCAL",
    "UNLOGGED",
    "FOREIGN",
    "VIRTUAL",
    "RECURSIVE",
    "MATERIALIZED",
    "ON",
    "ONLINE",
    "OFFLINE",
    "IGNORE",
    "ALGORITHM",
    "DEFINER",
    "SQL",
    "SECURITY",
    "INVOKER",
];

/// Verbs of queries in which `UPDATE` is what may be done to a table, and no table follows: `FOR UPDATE OF`.
const SPEAKS_OF_UPDATE: [&str; 3] = ["SELECT", "GRANT", "REVOKE"];

/// Verbs of queries in which `FROM` and `INTO` lead to no table: to a cursor, a user, a server, a cache.
const FROM_ANOTHER: [&str; 5] = ["FETCH", "MOVE", "REVOKE", "IMPORT", "LOAD"];

/// What `SHOW` may be followed by where a table is named: `SHOW TABLES FROM` and its like name a database.
const SHOWS_OF_TABLE: [&str; 6] = ["CREATE", "COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"];

/// What may stand where a table is expected, and is none: `INTO OUTFILE`, `ALTER TABLE ALL IN TABLESPACE`,
/// `FLUSH TABLES WITH READ LOCK`.
const NO_TABLE: [&str; 4] = ["OUTFILE", "DUMPFILE", "ALL", "WITH"];

/// Words before a table's name.
const BEFORE_TABLE: [&str; 5] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE"];

/// Words behind which a comma parts no tables any more, as it does behind `FROM`.
const AFTER_TABLES: [&str; 19] = [
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "FOR",
    "LOCK",
    "PROCEDURE",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "SELECT",
    "VALUES",
    "SET",
    "INTO",
    "RETURNING",
];

/// Verbs that change the table they name.
const CHANGES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"];

/// Words that may stand between those and the name.
const BETWEEN: [&str; 13] = [
    "IF",
    "NOT",
    "EXISTS",
    "ONLY",
    "LATERAL",
    "OR",
    "ABORT",
    "FAIL",
    "IGNORE",
    "REPLACE",
    "ROLLBACK",
    "LOW_PRIORITY",
    "CONCURRENTLY",
];

/// As [`BETWEEN`], to MySQL alone: others may name a table so.
const BETWEEN_TO_MYSQL: [&str; 2] = ["HIGH_PRIORITY", "DELAYED"];

/// As [`BETWEEN`], where a query is kept by `SELECT … INTO`.
const BETWEEN_INTO: [&str; 3] = ["TEMP", "TEMPORARY", "UNLOGGED"];

/// As [`BETWEEN`], in `VACUUM` and its like, and in `COPY`: names to nobody who writes those.
const BETWEEN_TO_POSTGRES: [&str; 5] = ["FULL", "FREEZE", "VERBOSE", "ANALYZE", "BINARY"];

/// What `EXPLAIN` may be followed by to MySQL, where no table is.
const EXPLAINS: [&str; 4] = ["FORMAT", "FOR", "EXTENDED", "PARTITIONS"];

fn unquoted(word: &str) -> Cow<'_, str> {
    let Some(quote) = word.chars().next().filter(|first| matches!(first, '"' | '`' | '[')) else {
        return word.into();
    };
    let inner = word.get(1..word.len() - 1).unwrap_or_default();
    let doubled = [quote; 2].iter().collect::<String>();
    match quote != '[' && inner.contains(&doubled) {
        true => inner.replace(&doubled, &doubled[1..]).into(),
        false => inner.into(),
    }
}

/// What stands in parentheses, or outside of all.
struct Group {
    /// It has a verb. In `extract(year FROM made)` there is a `FROM` of another kind.
    is_query: bool,
    /// `WITH` is naming queries: another may follow a comma.
    names_queries: bool,
    /// `FROM` is listing tables: another may follow a comma, where the first was a function or a subquery.
    lists_tables: bool,
}

/// Whether a name follows this verb at once.
fn names_at_once(verb: &str, dialect: Dialect) -> bool {
    NAMES_TABLE.contains(&verb)
        || dialect == Dialect::Postgres && NAMES_TABLE_TO_POSTGRES.contains(&verb)
        || dialect == Dialect::MySql && NAMES_TABLE_TO_MYSQL.contains(&verb)
}

/// Whether this word may stand between what announces a table and its name.
fn stands_between(word: &str, verb: &str, reads_from: bool, dialect: Dialect) -> bool {
    BETWEEN.contains(&word)
        || verb == "SELECT" && !reads_from && BETWEEN_INTO.contains(&word)
        || match dialect {
            Dialect::MySql => {
                BETWEEN_TO_MYSQL.contains(&word)
                    || NAMES_TABLE_TO_MYSQL.contains(&verb) && word == "INSERT"
            }
            Dialect::Postgres => {
                (NAMES_TABLE_TO_POSTGRES.contains(&verb) || verb == "COPY")
                    && BETWEEN_TO_POSTGRES.contains(&word)
            }
            _ => false,
        }
}

/// Reads a query.
pub(super) fn shown(query: &str, dialect: Dialect) -> Shown {
    let mut text = String::with_capacity(query.len().min(MAX_TEXT));
    let mut verb = None;
    let mut collection: Option<String> = None;
    let mut expects_table = false;
    // Whether the table's name was just read, and whether a dot follows it: then it goes on.
    let mut was_name = false;
    let mut continues_name = false;
    // Whether a dot was read behind any name.
    let mut was_dot = false;
    // Whether what was read last, but for blanks, is a name that may be a function's: `FROM unnest($1)`.
    let mut may_be_called = false;
    let mut reads_from = false;
    // Whether the verb is one behind which no table was announced: `SHOW`, `CREATE`.
    let mut names_none = false;
    // Whether the word that says what is created is still to come.
    let mut seeks_kind = false;
    let mut outside = Group { is_query: true, names_queries: false, lists_tables: false };
    let mut groups: Vec<Group> = Vec::new();
    // What was read last, but for blanks; the word that was, and the first one of its statement.
    let mut before = Token::Space;
    let mut last_word = "";
    let mut first_word = "";
    // Queries that `WITH` has named, which are no tables; whether another name is expected, and one that
    // is a query's if `AS` or its columns follow.
    let mut named: Vec<Cow<'_, str>> = Vec::new();
    let mut expects_named = false;
    let mut may_be_named = None;
    let mut is_cut = false;
    // Whether another statement follows: its tables are not this one's.
    let mut is_over = false;
    let tokens = Tokens::new(query, dialect);
    let is_read = !tokens.is_cut;
    for token in tokens {
        let token = match token {
            Token::WordOrLiteral(name) if expects_table || expects_named || was_dot => {
                Token::Word(name)
            }
            Token::WordOrLiteral(_) => Token::Literal,
            Token::Word(_)
                if dialect == Dialect::Sqlite && is_key(first_word, last_word, before) =>
            {
                Token::Literal
            }
            token => token,
        };
        let follows =
            |word: &str| matches!(before, Token::Word(before) if before.eq_ignore_ascii_case(word));
        let mut is_name = continues_name;
        let is_named = match token {
            Token::Word(word) => word.eq_ignore_ascii_case("AS"),
            _ => token == Token::Other("("),
        };
        if token != Token::Space
            && let Some(name) = may_be_named.take()
            && is_named
        {
            named.push(unquoted(name));
            groups.last_mut().unwrap_or(&mut outside).names_queries = true;
        }
        match token {
            Token::Word(_) if is_over => {}
            // There no word is a keyword: `SELECT mail.from AS sender`.
            Token::Word(word) if before == Token::Other(".") => {
                if let (true, Some(collection)) = (continues_name, &mut collection) {
                    collection.push('.');
                    collection.push_str(&unquoted(word));
                }
            }
            Token::Word(word) if expects_named && !word.eq_ignore_ascii_case("RECURSIVE") => {
                expects_named = false;
                // `FROM f() WITH ORDINALITY AS t`
                may_be_named = Some(word).filter(|word| !word.eq_ignore_ascii_case("ORDINALITY"));
            }
            Token::Word(word) => {
                let upper = word.to_ascii_uppercase();
                let known = VERBS.iter().find(|known| **known == upper).copied();
                let is_first = verb.is_none();
                let was_opened = before == Token::Other("(");
                let first = FIRST_VERBS.iter().find(|known| is_first && **known == upper).copied();
                let begins_query = BEGINS_QUERY.contains(&&*upper);
                expects_named |= upper == "WITH";
                // The verb of `WITH … AS (…) UPDATE …` is the one outside of the parentheses.
                let is_outside = groups.is_empty();
                let group = groups.last_mut().unwrap_or(&mut outside);
                let ends_list =
                    group.names_queries && upper != "WITH" && (begins_query || upper == "REPLACE");
                if is_first || is_outside && ends_list && verb == Some("WITH") {
                    verb = known.or(first).or(verb).or(Some("OTHER"));
                }
                if ends_list {
                    group.names_queries = false;
                    // What was read within them is not what it changes.
                    collection.take_if(|_| CHANGES.contains(&&*upper));
                }
                if begins_query && (was_opened || upper == "SELECT") {
                    group.is_query = true;
                    // A subquery, whose own table follows.
                    expects_table &= !was_opened;
                }
                group.lists_tables &= !AFTER_TABLES.contains(&&*upper);
                let is_query = group.is_query;
                let verb = verb.unwrap_or_default();
                if is_first {
                    seeks_kind = BY_KIND.contains(&verb);
                    names_none = seeks_kind || verb == "SHOW";
                } else if verb == "SHOW" {
                    names_none &= !SHOWS_OF_TABLE.contains(&&*upper);
                }
                let leads_to_table = match &*upper {
                    "TABLE" => seeks_kind,
                    "VIEW" => {
                        let is_shown = verb == "SHOW" && follows("CREATE");
                        seeks_kind || follows("MATERIALIZED") || is_shown
                    }
                    "TABLES" => dialect == Dialect::MySql && matches!(verb, "LOCK" | "FLUSH"),
                    "IN" => dialect == Dialect::MySql && verb == "SHOW" && !names_none,
                    _ => false,
                };
                // `DEFINER = root@localhost`
                let is_value = matches!(before, Token::Other("=" | "@"));
                seeks_kind &=
                    is_first || !leads_to_table && (is_value || BEFORE_KIND.contains(&&*upper));
                let goes_elsewhere =
                    matches!(&*upper, "FROM" | "INTO") && FROM_ANOTHER.contains(&verb);
                let leads_elsewhere =
                    BEFORE_TABLE.contains(&&*upper) && (names_none || goes_elsewhere);
                // `FOR UPDATE SKIP LOCKED`, `ON DUPLICATE KEY UPDATE`
                let is_asked_for = verb != "SET" && (follows("FOR") || follows("KEY"));
                let speaks_of_update = upper == "UPDATE"
                    && !was_opened
                    && (is_asked_for || SPEAKS_OF_UPDATE.contains(&verb));
                let is_between = stands_between(&upper, verb, reads_from, dialect);
                let is_explained = dialect == Dialect::MySql
                    && NAMES_TABLE_TO_MYSQL.contains(&verb)
                    && (known.is_some() || EXPLAINS.contains(&&*upper));
                if is_first && names_at_once(&upper, dialect) {
                    expects_table = true;
                } else if leads_to_table {
                    expects_table = collection.is_none();
                } else if speaks_of_update
                    || leads_elsewhere
                    || expects_table && NO_TABLE.contains(&&*upper)
                {
                    expects_table = false;
                } else if BEFORE_TABLE.contains(&&*upper) {
                    // `FROM ROWS FROM (f(), g())`
                    if upper == "FROM" && may_be_called {
                        collection.take_if(|name| name.eq_ignore_ascii_case("ROWS"));
                    }
                    let is_before_table = upper != "FROM" || is_query && !follows("DISTINCT");
                    expects_table = is_before_table && collection.is_none();
                    group.lists_tables |= is_before_table && upper == "FROM";
                    reads_from = matches!(&*upper, "FROM" | "JOIN");
                } else if expects_table && !is_between && is_explained {
                    expects_table = false;
                } else if expects_table && !is_between {
                    let name = unquoted(word);
                    let is_query = named.iter().any(|named| named.eq_ignore_ascii_case(&name));
                    // What is changed is a table, whatever bears its name.
                    let is_changed = CHANGES.contains(&verb);
                    if is_changed || !is_query && (dialect, &*upper) != (Dialect::MySql, "DUAL") {
                        collection = Some(name.into_owned());
                        is_name = true;
                    }
                    expects_table = false;
                }
            }
            Token::Other("(") => {
                let takes_options = takes_options(verb, dialect);
                // `FROM (f() JOIN (g(), orders))`
                let lists_tables = expects_table && reads_from && !takes_options;
                groups.push(Group { is_query: false, names_queries: false, lists_tables });
                if may_be_called {
                    collection = None;
                }
                expects_table &= !takes_options;
            }
            Token::Other(")") => {
                groups.pop();
                // `VACUUM (FULL) orders`
                expects_table = groups.is_empty()
                    && collection.is_none()
                    && !is_over
                    && takes_options(verb, dialect);
            }
            Token::Other(".") => {}
            Token::Other(",") if groups.last().unwrap_or(&outside).names_queries => {
                expects_named = true;
            }
            Token::Other(",") => {
                let lists_tables = groups.last().unwrap_or(&outside).lists_tables;
                expects_table = lists_tables && collection.is_none() && !is_over;
            }
            Token::Other(";") => {
                is_over |= verb.is_some() && groups.is_empty();
                expects_table = false;
            }
            // `FROM U&"d\0061t"`: a name with escapes.
            Token::Other("&") if was_name => collection = None,
            // `FROM main.'orders'`: a name in a string's quotes.
            Token::Literal if continues_name => collection = None,
            _ => expects_table &= token == Token::Space,
        }
        was_dot = token == Token::Other(".") && collection.is_some() && text.ends_with(is_name_end);
        if token != Token::Space {
            continues_name = was_name && token == Token::Other(".");
            was_name = is_name && matches!(token, Token::Word(_));
            may_be_called = (was_name || continues_name) && reads_from;
            expects_named &= matches!(token, Token::Word(_) | Token::Other(","));
            before = token;
            match token {
                Token::Word(word) if first_word.is_empty() => {
                    (first_word, last_word) = (word, word)
                }
                Token::Word(word) => last_word = word,
                Token::Other(";") => first_word = "",
                _ => {}
            }
        }
        if is_cut {
            // Of a long list of values nothing more is to be learnt.
            let is_value = matches!(token, Token::Literal | Token::Placeholder(_));
            if is_over || collection.is_some() && is_value {
                break;
            }
            continue;
        }
        let part = match token {
            Token::Word(part) | Token::Placeholder(part) | Token::Other(part) => part,
            Token::Literal | Token::WordOrLiteral(_) => "?",
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
    if !is_cut && !is_read {
        text.push('…');
    }
    let operation = verb.unwrap_or("OTHER").to_owned();
    let mut collection = collection.filter(|name| name.len() <= 128);
    let procedure = collection.take_if(|_| operation == "CALL");
    Shown { text, operation, collection, procedure }
}

/// Whether what follows is the key of an encrypted file: to SQLite a word without quotes is a string there.
fn is_key(first: &str, last: &str, before: Token<'_>) -> bool {
    if first.eq_ignore_ascii_case("PRAGMA") {
        // `key`, `rekey`, `hexkey`, …
        matches!(before, Token::Other("=" | "(")) && last.to_ascii_lowercase().ends_with("key")
    } else {
        first.eq_ignore_ascii_case("ATTACH")
            && matches!(before, Token::Word(word) if word.eq_ignore_ascii_case("KEY"))
    }
}

/// Whether a list of options in parentheses may stand between this verb and the table.
fn takes_options(verb: Option<&str>, dialect: Dialect) -> bool {
    dialect == Dialect::Postgres && verb.is_some_and(|verb| NAMES_TABLE_TO_POSTGRES.contains(&verb))
}

fn is_name_end(char: char) -> bool {
    is_word(char) || matches!(char, '"' | '`' | ']')
}

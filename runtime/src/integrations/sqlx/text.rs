//! What may be shown of a query: its text without its literals, its verb and its table.

#[cfg(test)]
mod tests;

use super::tokens::{Dialect, Token, Tokens, is_word};

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
const FIRST_VERBS: [&str; 32] = [
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
];

/// Verbs that a table's name may follow at once, or a procedure's: `INTO` may be missing to MySQL.
const NAMES_TABLE: [&str; 5] = ["TRUNCATE", "COPY", "INSERT", "REPLACE", "CALL"];

/// Verbs of queries in which `UPDATE` is what may be done to a table, and no table follows: `FOR UPDATE OF`.
const SPEAKS_OF_UPDATE: [&str; 4] = ["SELECT", "CREATE", "GRANT", "REVOKE"];

/// Verbs of queries in which `FROM` and `INTO` lead to no table: to a cursor, a user, a server.
const FROM_ANOTHER: [&str; 4] = ["FETCH", "MOVE", "REVOKE", "IMPORT"];

/// What `SHOW` may be followed by where a table is named: `SHOW TABLES FROM` and its like name a database.
const SHOWS_OF_TABLE: [&str; 6] = ["CREATE", "COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"];

/// What `INTO` may lead to that is no table.
const NO_TABLE: [&str; 2] = ["OUTFILE", "DUMPFILE"];

/// Words before a table's name.
const BEFORE_TABLE: [&str; 5] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE"];

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

fn unquoted(word: &str) -> &str {
    match word.starts_with(['"', '`', '[']) {
        true => word.get(1..word.len() - 1).unwrap_or_default(),
        false => word,
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
    // Whether the verb is one behind which no table was announced: `SHOW`.
    let mut names_none = false;
    // Whether what stands in the open parentheses is a query: it has a verb. In `extract(year FROM made)`
    // there is a `FROM` of another kind.
    let mut groups: Vec<bool> = Vec::new();
    let mut was_opened = false;
    let mut was_distinct = false;
    // What a function `RETURNS TABLE (…)` are columns.
    let mut was_returns = false;
    // Queries that `WITH` has named, which are no tables, and whether another name is expected.
    let mut named: Vec<&str> = Vec::new();
    let mut expects_named = false;
    let mut is_cut = false;
    // Whether another statement follows: its tables are not this one's.
    let mut is_over = false;
    let tokens = Tokens::new(query, dialect);
    let is_read = !tokens.is_cut;
    for token in tokens {
        let token = match token {
            Token::WordOrLiteral(name) if expects_table || was_dot => Token::Word(name),
            Token::WordOrLiteral(_) => Token::Literal,
            token => token,
        };
        let mut is_name = continues_name;
        match token {
            Token::Word(_) if is_over => {}
            Token::Word(word) => {
                let upper = word.to_ascii_uppercase();
                let known = VERBS.iter().find(|known| **known == upper).copied();
                let is_first = verb.is_none();
                let first = FIRST_VERBS.iter().find(|known| is_first && **known == upper).copied();
                // The verb of `WITH … AS (…) UPDATE …` is the one outside of the parentheses.
                if is_first || groups.is_empty() && verb == Some("WITH") {
                    let goes_on = expects_named && upper == "RECURSIVE";
                    named.extend((expects_named && !goes_on).then(|| unquoted(word)));
                    expects_named = goes_on || is_first && upper == "WITH";
                    verb = known.or(first).or(verb).or(Some("OTHER"));
                    // What was read within them is not what it changes.
                    if known.is_some_and(|known| CHANGES.contains(&known)) {
                        collection = None;
                    }
                }
                if let (Some(is_query), Some(_)) = (groups.last_mut(), known) {
                    *is_query = true;
                    // A subquery, whose own table follows.
                    expects_table &= !was_opened;
                }
                names_none = match is_first {
                    true => upper == "SHOW",
                    false => names_none && !SHOWS_OF_TABLE.contains(&&*upper),
                };
                let goes_elsewhere = matches!(&*upper, "FROM" | "INTO")
                    && verb.is_some_and(|verb| FROM_ANOTHER.contains(&verb));
                let leads_elsewhere = BEFORE_TABLE.contains(&&*upper)
                    && (names_none || goes_elsewhere || was_returns);
                let speaks_of_update = upper == "UPDATE"
                    && !was_opened
                    && verb.is_some_and(|verb| SPEAKS_OF_UPDATE.contains(&verb));
                if continues_name {
                    if let Some(collection) = &mut collection {
                        collection.push('.');
                        collection.push_str(unquoted(word));
                    }
                } else if is_first && NAMES_TABLE.contains(&&*upper) {
                    expects_table = true;
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
                    let is_other = was_distinct || groups.last() == Some(&false);
                    let is_before_table = upper != "FROM" || !is_other;
                    expects_table = is_before_table && collection.is_none();
                    reads_from = matches!(&*upper, "FROM" | "JOIN");
                } else if expects_table
                    && !BETWEEN.contains(&&*upper)
                    && !(dialect == Dialect::MySql && BETWEEN_TO_MYSQL.contains(&&*upper))
                    && !(verb == Some("SELECT") && !reads_from && BETWEEN_INTO.contains(&&*upper))
                {
                    let name = unquoted(word);
                    let is_query = named.iter().any(|named| named.eq_ignore_ascii_case(name));
                    // What is changed is a table, whatever bears its name.
                    let is_changed = verb.is_some_and(|verb| CHANGES.contains(&verb));
                    if is_changed || !is_query && (dialect, &*upper) != (Dialect::MySql, "DUAL") {
                        collection = Some(name.to_owned());
                        is_name = true;
                    }
                    expects_table = false;
                }
                was_distinct = upper == "DISTINCT";
                was_returns = upper == "RETURNS";
            }
            Token::Other("(") => {
                groups.push(false);
                if may_be_called {
                    collection = None;
                }
            }
            Token::Other(")") => {
                groups.pop();
                expects_table = false;
            }
            Token::Other(".") => {}
            Token::Other(",") if verb == Some("WITH") && groups.is_empty() => expects_named = true,
            Token::Other(";") => {
                is_over |= verb.is_some() && groups.is_empty();
                expects_table = false;
            }
            _ => expects_table &= token == Token::Space,
        }
        continues_name = was_name && token == Token::Other(".");
        was_dot = token == Token::Other(".") && collection.is_some() && text.ends_with(is_name_end);
        was_name = is_name && matches!(token, Token::Word(_));
        if token != Token::Space {
            may_be_called = (was_name || continues_name) && reads_from;
            was_opened = token == Token::Other("(");
            was_distinct &= matches!(token, Token::Word(_));
            was_returns &= matches!(token, Token::Word(_));
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

fn is_name_end(char: char) -> bool {
    is_word(char) || matches!(char, '"' | '`' | ']')
}

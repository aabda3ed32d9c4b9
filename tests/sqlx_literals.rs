//! Texts made by chance of whatever begins, ends or hides a string, a name or a comment, asked of the databases themselves:
//! where one is taken, `secret` stands in a string or a comment, since there is no column of that name, and no span shows it.
//!
//! More, or one again: `REDSPAN_TEXTS=1000000 cargo test --test sqlx_literals`, `REDSPAN_TEXT=17 cargo test --test sqlx_literals`.

use opentelemetry::trace::{SpanKind, Status};
use redspan::sqlx::traced;
use redspan::testing;
use redspan_tests::mariadb::MariaDb;
use redspan_tests::postgres::Postgres;
use redspan_tests::{Random, seeds};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Database, Executor, MySql, Postgres as Pg, Sqlite};
use std::time::Duration;

/// So many are asked before anybody looks.
const AT_ONCE: u64 = 500;

const SECRET: &str = "secret";

/// What all databases read in some way.
const PARTS: [&str; 22] = [
    "'", "'", "'", "''", "\"", "\\", "\\'", "--", "-- ", "#", "/*", "*/", "/*!", "/*+", "\n", "\r",
    " ", " ", "$$", "1", "é", "\u{a0}",
];

/// Each text is made of few parts, which meet again and again.
fn text(seed: u64, own: &[&'static str]) -> String {
    let mut random = Random(seed);
    let opens = ["'", "'", "E'", "\"", "$$", "$a$", "/*", "/*!", "/*!99999 ", "--", "-- ", "#"];
    let few: [_; 3] = std::array::from_fn(|_| match random.below(4) {
        0 => random.of(&opens),
        1 => random.of(&["'", "\\", "\\'"]),
        2 => random.of(&PARTS),
        _ => random.of(own),
    });
    let mut text = "SELECT concat('', ".to_owned();
    for _ in 0..1 + random.below(3) {
        if !text.ends_with("'', ") {
            text.push_str(random.of(&[", ", ", ", "||", "+", "\n"]));
        }
        let opens = random.of(&opens);
        text.push_str(opens);
        for _ in 0..random.below(7) {
            text.push_str(if random.below(3) == 0 { SECRET } else { random.of(&few) });
        }
        text.push_str(match opens {
            "\"" | "$$" | "$a$" => opens,
            "--" | "-- " | "#" => "\n",
            opens if opens.starts_with("/*") => "*/",
            _ => "'",
        });
        // Of comments alone there is nothing to be answered.
        if opens.starts_with(['/', '-', '#']) {
            text.push('1');
        }
    }
    text + ")"
}

/// Whether it shows a secret that is not the name of a placeholder: `@secret`.
fn shows(text: &str) -> bool {
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    text.match_indices(SECRET).any(|(at, _)| {
        let before = text[..at].trim_end_matches(belongs);
        !before.ends_with(['@', ':', '#']) && !text[before.len()..].starts_with('$')
    })
}

/// Asks the texts.
async fn asked<DB: Database>(
    options: <DB::Connection as sqlx::Connection>::Options,
    first: &'static str,
    own: &[&'static str],
    usually: u64,
) where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let pool = PoolOptions::<DB>::new().max_connections(1).acquire_timeout(Duration::from_secs(60));
    let pool = pool.after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(first).await.map(drop) })
    });
    let pool = traced(pool.connect_with(options).await.unwrap());
    let (mut seeds, mut taken) = (seeds("REDSPAN_TEXT", "REDSPAN_TEXTS", usually), 0);
    while !seeds.is_empty() {
        let some: Vec<_> = seeds.by_ref().take(AT_ONCE as usize).collect();
        let ((), seen) = testing::scope_async(async {
            let mut lent = pool.acquire().await.unwrap();
            for seed in &some {
                let _ = (&mut *lent).execute(AssertSqlSafe(text(*seed, own))).await;
            }
        })
        .await;
        let spans = seen.spans();
        let queries = spans.iter().filter(|span| *span.kind() == SpanKind::Client);
        for (span, seed) in queries.zip(&some) {
            if *span.status() == Status::Unset {
                taken += u64::from(text(*seed, own).contains(SECRET));
                let shown = span.attribute("db.query.text").unwrap().to_string();
                let is_shown = shows(&shown) || span.name().contains(SECRET);
                assert!(!is_shown, "REDSPAN_TEXT={seed}: {:?} is {shown:?}", text(*seed, own));
            }
        }
    }
    println!("{taken} were taken");
    assert!(taken > 0);
}

const OF_MYSQL: &[&str] = &[
    "/*!99999 ",
    "/*M!",
    "/*!50000",
    "_utf8'",
    "`",
    "N'",
    "x'",
    "*/ ",
    "\"\"",
    "\\\"",
    "\t",
    "--\t",
    "@",
];
const OF_POSTGRES: &[&str] = &[
    "$a$", "$é$", "E'", "e'", "U&'", "U&\"", "\n'", "B'", "::", "a$", "$", "$1", "-", "\u{b}",
    "é$$",
];

#[tokio::test]
async fn of_what_sqlite_takes_no_literal_is_shown() {
    let options = SqliteConnectOptions::new().disable_statement_logging();
    let own = ["`", "[", "]", "\"\"", "x'", "$a", ":a", "@a", "?1", "->>", "\u{c}", "."];
    asked::<Sqlite>(options, "SELECT 1", &own, 10_000).await;
}

#[tokio::test]
async fn of_what_postgres_takes_no_literal_is_shown() {
    if !Postgres::is_there() {
        return;
    }
    let server = Postgres::start();
    let options = server.url().parse::<PgConnectOptions>().unwrap().disable_statement_logging();
    for first in ["SELECT 1", "SET standard_conforming_strings = off"] {
        asked::<Pg>(options.clone(), first, OF_POSTGRES, 4_000).await;
    }
}

#[tokio::test]
async fn of_what_mariadb_takes_no_literal_is_shown() {
    if !MariaDb::is_there() {
        return;
    }
    let server = MariaDb::start();
    let options = server.url().parse::<MySqlConnectOptions>().unwrap().disable_statement_logging();
    for mode in ["''", "'NO_BACKSLASH_ESCAPES'", "'ANSI_QUOTES'", "'PIPES_AS_CONCAT'"] {
        let first = format!("SET sql_mode = {mode}");
        asked::<MySql>(options.clone(), first.leak(), OF_MYSQL, 4_000).await;
    }
}

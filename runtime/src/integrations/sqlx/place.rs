//! Where a database is.

use super::tokens::Dialect;
use sqlx_core::Url;
use sqlx_core::connection::{ConnectOptions, Connection};
use sqlx_core::database::Database;
use sqlx_core::percent_encoding::percent_decode_str;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The database that a pool speaks to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `db.system.name`
    pub(super) system: &'static str,
    pub(super) dialect: Dialect,
    /// A host, or the path of a socket.
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) namespace: Option<String>,
}

type OptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

impl Place {
    pub(super) fn of<DB: Database>(options: &OptionsOf<DB>) -> Self {
        // A file's path is nobody's address.
        let (system, dialect) = match DB::NAME {
            "SQLite" => return Place::unknown("sqlite", Dialect::Sqlite),
            "PostgreSQL" => ("postgresql", Dialect::Postgres),
            "MySQL" => ("mysql", Dialect::MySql),
            _ => ("other_sql", Dialect::Other),
        };
        let unknown = Place::unknown(system, dialect);
        if dialect != Dialect::Other
            && let Some(place) = unknown.said(&format!("{options:?}"))
        {
            return place;
        }
        // Other drivers need not have one, and say so by panicking.
        let url = catch_unwind(AssertUnwindSafe(|| OptionsOf::<DB>::to_url_lossy(options)));
        match url {
            Ok(url) => Place::at(&url, system, dialect),
            Err(_) => Place::unknown(system, dialect),
        }
    }

    fn unknown(system: &'static str, dialect: Dialect) -> Self {
        Place { system, dialect, address: None, port: None, namespace: None }
    }

    /// What sqlx's own options show of themselves: they make no URL of a socket's path, or of the address
    /// of IPv6, but panic.
    fn said(&self, debug: &str) -> Option<Place> {
        let mut rest = debug.split_once(" { ")?.1;
        let mut next = |name: &str| {
            let value = rest.strip_prefix(name)?.strip_prefix(": ")?;
            let (value, after) = read(value)?;
            rest = after.strip_prefix(", ")?;
            Some(value)
        };
        let host = next("host")??;
        let port = next("port")??.parse().ok()?;
        let socket = next("socket")?;
        // What is secret is read over.
        next("username")?;
        next("password")?;
        let namespace = next("database")?;
        let socket = socket.or_else(|| host.starts_with('/').then(|| host.clone()));
        let port = socket.is_none().then_some(port);
        let address = socket.unwrap_or_else(|| bare(&host).to_owned());
        let filled = |text: &String| !text.is_empty();
        let (address, namespace) = (Some(address).filter(filled), namespace.filter(filled));
        Some(Place { address, port, namespace, ..Place::unknown(self.system, self.dialect) })
    }

    /// What a URL says; also which database answers, where the driver speaks to any.
    fn at(url: &Url, system: &'static str, dialect: Dialect) -> Self {
        let (system, dialect) = match (url.scheme(), dialect) {
            ("sqlite", _) => return Place::unknown("sqlite", Dialect::Sqlite),
            ("postgres" | "postgresql", Dialect::Other) => ("postgresql", Dialect::Postgres),
            ("mysql", Dialect::Other) => ("mysql", Dialect::MySql),
            ("mariadb", Dialect::Other) => ("mariadb", Dialect::MySql),
            _ => (system, dialect),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let filled = |text: &&str| !text.is_empty();
        let host = url.host_str().map(bare).filter(filled);
        let namespace = Some(url.path().trim_start_matches('/')).filter(filled);
        Place {
            system,
            dialect,
            address: host.map(decoded),
            port: url.port_or_known_default(),
            namespace: namespace.map(decoded),
        }
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

/// Reads a number, a text or none of either, as `Debug` writes it, and what comes after it.
fn read(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(after) = text.strip_prefix("None") {
        return Some((None, after));
    }
    if let Some(some) = text.strip_prefix("Some(") {
        let (value, after) = read(some)?;
        return Some((value, after.strip_prefix(')')?));
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let (number, _) = text.split_once(',')?;
        return Some((Some(number.to_owned()), &text[number.len()..]));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Some(value), chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                '0' => value.push('\0'),
                'u' => {
                    let (code, after) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    value.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                    chars = after.chars();
                }
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(address: Option<&str>, port: Option<u16>, namespace: Option<&str>) -> Place {
        let [address, namespace] = [address, namespace].map(|text| text.map(str::to_owned));
        Place { address, port, namespace, ..Place::unknown("postgresql", Dialect::Postgres) }
    }

    #[test]
    fn what_options_show_is_read_whatever_stands_in_it() {
        let said = |debug: &str| Place::unknown("postgresql", Dialect::Postgres).said(debug);
        let texts = ["plain", "a \"quoted\" {one}, too", "a\\b\n\t\0", "é\u{202e}\u{1}'", ""];
        for text in texts {
            let (host, none) = (text, None::<String>);
            let debug = format!(
                "Options {{ host: {host:?}, port: 5432, socket: {none:?}, username: {text:?}, \
                 password: {:?}, database: {:?}, more: 1 }}",
                Some(text),
                Some(text)
            );
            let filled = Some(text).filter(|text| !text.is_empty());
            assert_eq!(said(&debug), Some(postgres(filled, Some(5432), filled)), "{debug}");
        }
        for other in
            ["", "Options", "Options { host: 1, port: 2", "Options { host: \"a", "{ port: 1 }"]
        {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn a_url_says_which_database_answers() {
        let at = |url: &str| Place::at(&Url::parse(url).unwrap(), "other_sql", Dialect::Other);
        let place = at("postgres://me:secret@[::1]:17/my%20shop?sslmode=disable");
        assert_eq!(place, postgres(Some("::1"), Some(17), Some("my shop")));
        let mysql = at("mysql://db/shop");
        assert_eq!((mysql.system, mysql.dialect), ("mysql", Dialect::MySql));
        assert_eq!(at("mariadb://db/shop").system, "mariadb");
        assert_eq!(at("sqlite:///var/shop.db"), Place::unknown("sqlite", Dialect::Sqlite));
        assert_eq!(at("exa://db/shop").system, "other_sql");
    }
}

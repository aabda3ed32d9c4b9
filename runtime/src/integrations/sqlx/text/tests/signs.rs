//! Where names and comments end.

use super::*;

/// MySQL and MariaDB run what stands in `/*! … */`, some of them, and read it as any other part of a query.
#[test]
fn a_comment_that_is_run_ends_where_its_strings_let_it() {
    for (query, expected) in [
        ("SELECT /*!40001 SQL_NO_CACHE */ a FROM t WHERE b = 'x'", "SELECT a FROM t WHERE b = ?"),
        (
            "CREATE TABLE t (a INT) /*M!100100 COMMENT 'it''s \\'x\\'' */ , b",
            "CREATE TABLE t (a INT) , b",
        ),
        // Nobody knows whether it is run, and thus where it ends.
        ("SELECT /*! 'a */ secret ' */ FROM t", "SELECT ?"),
        ("SELECT /*M! \"a */ secret \" */ FROM t", "SELECT ?"),
        ("SELECT /*! `a */ secret ` */ FROM t", "SELECT ?"),
        ("SELECT /*! a -- */ secret\n */ FROM t", "SELECT ?"),
        ("SELECT /*! a # */ secret\n */ FROM t", "SELECT ?"),
        ("SELECT /*! a /* b */ secret */ FROM t", "SELECT ?"),
        ("SELECT /*!999999 it's */ secret, 'a' FROM t", "SELECT ?"),
        (r"SELECT /*! 'a\' */ secret ' */ FROM t", "SELECT ?"),
        ("SELECT /*! a", "SELECT ?"),
        ("SELECT /*+ SET_VAR(a = 'b */ secret') */ c FROM t", "SELECT ?"),
        ("SELECT /*+ NO_ICP(t) */ a FROM t", "SELECT a FROM t"),
        // It runs for nobody.
        ("SELECT /* 'a */ b FROM t", "SELECT b FROM t"),
    ] {
        assert_eq!(shown(query, MYSQL).text, expected, "{query}");
    }
    assert_eq!(shown("SELECT /*! 'a */ b FROM t", SQLITE).text, "SELECT b FROM t");
}

#[test]
fn whatever_is_no_ascii_belongs_to_a_name_as_all_databases_have_it() {
    // Signs that are no letters: a virama, a dot that is combined, one that joins, a picture, a blank that is none.
    for name in ["ग्राहक", "gro\u{308}ße", "می\u{200c}خواهم", "😀orders", "o\u{a0}r"]
    {
        for (dialect, select) in [(POSTGRES, "$1"), (MYSQL, "@a"), (SQLITE, ":a")] {
            let query = format!("SELECT {select} FROM shop.{name} WHERE {name} = 'secret'");
            let shown = shown(&query, dialect);
            assert_eq!(shown.summary(), format!("SELECT shop.{name}"), "{dialect:?}");
            assert_eq!(shown.text, query.replace("'secret'", "?"), "{dialect:?}");
        }
    }
    // Neither does a string begin within one.
    for (query, expected) in [
        ("SELECT a\u{a0}$$, 'it $$ secret', b", "SELECT a\u{a0}$$, ?, b"),
        ("SELECT 😀E'a\\', 'secret', b", "SELECT 😀E?, ?, b"),
    ] {
        assert_eq!(shown(query, POSTGRES).text, expected, "{query}");
    }
}

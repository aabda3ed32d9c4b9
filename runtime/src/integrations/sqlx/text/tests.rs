use super::*;

mod signs;

const POSTGRES: Dialect = Dialect::Postgres;
const MYSQL: Dialect = Dialect::MySql;
const SQLITE: Dialect = Dialect::Sqlite;

#[test]
fn a_quote_that_is_never_closed_hides_the_rest_and_panics_nowhere() {
    for (query, dialect) in [
        ("SELECT * FROM \"é", POSTGRES),
        ("SELECT * FROM \"orders WHERE a = 'secret'", POSTGRES),
        ("SELECT * FROM `orders WHERE a = 'secret'", MYSQL),
        ("SELECT * FROM \"", SQLITE),
        ("SELECT * FROM [orders WHERE a = 'secret'", SQLITE),
    ] {
        let shown = shown(query, dialect);
        assert_eq!((&*shown.text, &*shown.summary()), ("SELECT * FROM ?", "SELECT"), "{query}");
    }
}

#[test]
fn an_operator_before_a_literal_is_no_placeholder() {
    for (query, expected) in [
        ("SELECT a ?$$secret$$ FROM t", "SELECT a ?? FROM t"),
        ("SELECT a @@$$a secret$$ FROM t", "SELECT a @@? FROM t"),
        ("SELECT a @@$q$a secret$q$::tsquery", "SELECT a @@?::tsquery"),
        ("SELECT a[3:17], @17, $1$$secret$$", "SELECT a[?:?], @?, $1?"),
        ("SELECT a[lo:hi], a ? 'secret'", "SELECT a[lo:hi], a ? ?"),
        ("SELECT a ?17, a ?|b", "SELECT a ??, a ?|b"),
        (r"SELECT a @@E'it\'s a secret', b", "SELECT a @@?, b"),
        // A string goes on behind a line's end.
        ("SELECT E'one' \n 'it\\'s a secret', b", "SELECT ?, b"),
        ("SELECT E'one' '\\', b", "SELECT ? ?, b"),
    ] {
        assert_eq!(shown(query, POSTGRES).text, expected, "{query}");
    }
    for (query, expected) in [
        ("SELECT @a, @@version, @`b c`", "SELECT @a, @@version, @`b c`"),
        ("SELECT @'x'", "SELECT @?"),
    ] {
        assert_eq!(shown(query, MYSQL).text, expected, "{query}");
    }
    let sqlite = "SELECT ?2, :name, @name, $name";
    assert_eq!(shown(sqlite, SQLITE).text, sqlite);
}

#[test]
fn each_dialect_quotes_and_comments_in_its_own_way() {
    for (query, expected, dialect) in [
        // A name that no column has is a string to SQLite.
        ("SELECT a FROM \"t\" WHERE b = \"secret\"", "SELECT a FROM \"t\" WHERE b = ?", SQLITE),
        ("INSERT INTO \"a\".\"b\" VALUES (\"x\")", "INSERT INTO \"a\".\"b\" VALUES (?)", SQLITE),
        ("SELECT * FROM t x WHERE x.\"b\" = \"y\"", "SELECT * FROM t x WHERE x.\"b\" = ?", SQLITE),
        ("SELECT [it's] FROM t WHERE b = 'secret'", "SELECT [it's] FROM t WHERE b = ?", SQLITE),
        ("SELECT a[1] FROM t", "SELECT a[?] FROM t", POSTGRES),
        // None of theirs nest.
        ("SELECT 1 /* a /* b */ , 'it''s'", "SELECT ? , ?", SQLITE),
        ("SELECT 1 /* a /* b */ , 'it''s'", "SELECT ? , ?", MYSQL),
        ("SELECT 1 /* a /* b */ 'x' */ , 2", "SELECT ? , ?", POSTGRES),
        // `--` is a comment to MySQL only where something blank follows.
        ("SELECT 5--'first\nsecret' , b", "SELECT ?--? , b", MYSQL),
        ("SELECT 5 -- it's\n, b --", "SELECT ? , b", MYSQL),
        ("SELECT 5--it's\n, b", "SELECT ? , b", POSTGRES),
        ("SELECT a ` 'secret' ` b", "SELECT a ` ? ` b", POSTGRES),
        (r"SELECT 'it''s', 'a\' , secret", "SELECT ?, ?", Dialect::Other),
    ] {
        assert_eq!(shown(query, dialect).text, expected, "{query}");
    }
}

#[test]
fn literals_are_hidden_and_placeholders_are_not() {
    for (query, expected) in [
        ("SELECT * FROM t WHERE a = 'it''s' AND b = 17", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT $1::int, :name, ?", "SELECT $1::int, :name, ?"),
        ("SELECT -1.5e-3, .5, 0xff, 1_000", "SELECT -?, ?, ?, ?"),
        (r"SELECT 'a\', b", "SELECT ?, b"),
        (r"SELECT E'a\'secret', b", "SELECT ?, b"),
        ("SELECT E'a' -- b\n  -- c\n '\\'secret', d", "SELECT ?, d"),
        ("SELECT E'a'\r'\\'secret', b", "SELECT ?, b"),
        ("SELECT 1 -- a\r, 'b\n secret', c", "SELECT ? , ?, c"),
        ("SELECT $😀$it's secret$😀$, b", "SELECT ?, b"),
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
        (r"SELECT 'it\'s a secret' FROM t WHERE a = 'b'", "SELECT ? FROM t WHERE a = ?"),
        ("SELECT `a` FROM `b` # secret", "SELECT `a` FROM `b`"),
    ] {
        assert_eq!(shown(query, MYSQL).text, expected, "{query}");
    }
}

#[test]
fn whether_a_backslash_escapes_is_the_sessions_matter_and_no_literal_is_shown_either_way() {
    for (query, expected) in [
        // To most sessions a string is left open here.
        (r"INSERT INTO t VALUES ('C:\', 'secret')", "INSERT INTO t VALUES (?"),
        (r#"SELECT "C:\", secret FROM t"#, "SELECT ?"),
        (r"SELECT 'a\', 'secret', 'b\' FROM t", "SELECT ?"),
        // Either may be meant: what is a string to one is not shown, and where both agree it goes on.
        (r"INSERT INTO t VALUES ('it\'s', 'it\'s', 'a')", "INSERT INTO t VALUES (?, ?)"),
        (r"SELECT 'C:\', secret, \'', 'it\'s' FROM t WHERE a = 'it\'s'", "SELECT ?, ?"),
        // The end is the same.
        (r"SELECT 'a\n', 'b\\', 'c\t' FROM t", "SELECT ?, ?, ? FROM t"),
        (r"SELECT 'it\'s a secret", "SELECT ?"),
    ] {
        assert_eq!(shown(query, MYSQL).text, expected, "{query}");
    }
    // Most sessions of PostgreSQL leave it as it is.
    for (query, expected) in [
        (r"SELECT a FROM t WHERE b = 'c\' AND d = 'x'", "SELECT a FROM t WHERE b = ? AND d = ?"),
        (r"SELECT a LIKE 'x' ESCAPE '\', 'y' FROM t", "SELECT a LIKE ? ESCAPE ?, ? FROM t"),
        (r"SELECT 'it\'s a secret' FROM t", "SELECT ?"),
        (r"SELECT 'it\'s secret', 'it\'s' FROM t WHERE a = 'it\'s'", "SELECT ?"),
        (r"SELECT '\d+', '\\', E'it\'s a secret' FROM t", "SELECT ?, ?, ? FROM t"),
    ] {
        assert_eq!(shown(query, POSTGRES).text, expected, "{query}");
    }
}

#[test]
fn the_key_of_an_encrypted_file_is_not_shown_though_it_is_a_word() {
    for (query, expected) in [
        ("PRAGMA key = secret", "PRAGMA key = ?"),
        ("PRAGMA main.rekey(secret)", "PRAGMA main.rekey(?)"),
        ("ATTACH DATABASE $1 AS old KEY secret", "ATTACH DATABASE $1 AS old KEY ?"),
        ("SELECT 1; pragma key=secret; SELECT a", "SELECT ?; pragma key=?; SELECT a"),
        ("PRAGMA foreign_keys = ON", "PRAGMA foreign_keys = ON"),
        ("PRAGMA journal_mode = WAL", "PRAGMA journal_mode = WAL"),
        ("SELECT a.key = other FROM t", "SELECT a.key = other FROM t"),
    ] {
        assert_eq!(shown(query, SQLITE).text, expected, "{query}");
    }
}

#[test]
fn of_several_statements_the_first_is_summed_up() {
    for (query, expected) in [
        ("SELECT 1; DELETE FROM users", "SELECT"),
        ("BEGIN; INSERT INTO orders VALUES (1); COMMIT", "BEGIN"),
        ("; SELECT a FROM orders; SELECT b FROM users;", "SELECT orders"),
        ("WITH x AS (SELECT 1); UPDATE orders SET a = 1", "WITH"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
}

#[test]
fn a_procedure_that_is_called_is_no_table() {
    for (query, expected) in [
        ("CALL close_day($1, 'x')", Some("close_day")),
        ("call shop.\"Close\" ((SELECT a FROM orders))", Some("shop.Close")),
        ("CALL", None),
    ] {
        let shown = shown(query, POSTGRES);
        let found = (shown.procedure.as_deref(), shown.collection.as_deref());
        assert_eq!(found, (expected, None), "{query}");
    }
    assert_eq!(shown("CALL close_day", MYSQL).summary(), "CALL close_day");
}

#[test]
fn a_query_is_summed_up_by_its_verb_and_first_table() {
    for (query, expected) in [
        ("select * from orders o join users u on true", "SELECT orders"),
        ("INSERT INTO shop.orders (id) VALUES (1)", "INSERT shop.orders"),
        ("UPDATE \"Orders\" SET a = 1", "UPDATE Orders"),
        ("DELETE FROM ONLY orders", "DELETE orders"),
        ("WITH x AS (SELECT 1 FROM a) UPDATE b SET c = 1", "UPDATE b"),
        ("WITH x AS (SELECT 1 FROM a) INSERT INTO b SELECT * FROM x", "INSERT b"),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "SELECT a"),
        // What it names is no table, unless it is changed.
        ("WITH x AS (SELECT 1), \"Y\"(b) AS (VALUES (1)) SELECT * FROM x JOIN y ON a", "SELECT"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i FROM n) SELECT * FROM n, t", "SELECT t"),
        ("WITH x AS (SELECT 1) SELECT * FROM x JOIN orders ON true", "SELECT orders"),
        ("WITH orders AS (SELECT 1) DELETE FROM orders", "DELETE orders"),
        // Only what follows the name at once belongs to it.
        ("SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id", "SELECT orders"),
        ("SELECT a FROM shop.orders WHERE orders.id = b.c", "SELECT shop.orders"),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b", "INSERT t"),
        ("SELECT a FROM \"s\".\"t\" x WHERE x.b = 1", "SELECT s.t"),
        // A function is no table.
        ("SELECT * FROM unnest($1::int[]) n", "SELECT"),
        ("SELECT * FROM pg_catalog.generate_series (1, 2) n JOIN t ON t.a = n", "SELECT t"),
        ("SELECT * FROM ROWS FROM (f($1), g(2)) AS x", "SELECT"),
        ("SELECT * FROM rows FROM (shop.f($1)) JOIN t ON true", "SELECT t"),
        ("INSERT INTO orders SELECT * FROM unnest($1, $2)", "INSERT orders"),
        ("INSERT INTO orders(id) VALUES (1)", "INSERT orders"),
        ("TRUNCATE orders, users", "TRUNCATE orders"),
        ("COPY orders (id) FROM STDIN", "COPY orders"),
        ("COPY (SELECT id FROM orders) TO STDOUT", "COPY orders"),
        ("COPY (SELECT 1) TO STDOUT", "COPY"),
        // A cursor is no table, and neither is who had a right.
        ("FETCH 100 FROM found", "FETCH"),
        ("MOVE FORWARD 3 FROM found", "MOVE"),
        ("DECLARE found CURSOR FOR SELECT * FROM orders", "DECLARE orders"),
        ("REVOKE ALL ON SCHEMA shop FROM bob", "REVOKE"),
        ("REVOKE SELECT ON TABLE orders FROM bob", "REVOKE orders"),
        ("IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", "IMPORT"),
        ("SHOW search_path", "SHOW"),
        ("CREATE FUNCTION f() RETURNS TABLE (id int) AS $$ SELECT 1 $$ LANGUAGE sql", "CREATE"),
        ("SELECT trim(comment FROM note) FROM orders", "SELECT orders"),
        // What may be done to a table is no table.
        ("GRANT SELECT, UPDATE ON orders TO bob", "GRANT"),
        ("CREATE TRIGGER t AFTER UPDATE OR DELETE ON orders EXECUTE FUNCTION f()", "CREATE"),
        ("SELECT pg_advisory_lock(1) FOR UPDATE NOWAIT", "SELECT"),
        ("WITH x AS (UPDATE a SET b = 1 RETURNING c) SELECT * FROM x", "SELECT a"),
        ("EXPLAIN UPDATE orders SET a = 1", "EXPLAIN orders"),
        ("SELECT id INTO TEMP copies FROM orders", "SELECT copies"),
        ("INSERT INTO temp SELECT * FROM orders", "INSERT temp"),
        ("SELECT * FROM temp t JOIN delayed d ON true", "SELECT temp"),
        ("DELETE FROM delayed d", "DELETE delayed"),
        ("TRUNCATE TABLE ONLY orders", "TRUNCATE orders"),
        ("SELECT truncate(a, 2) FROM orders", "SELECT orders"),
        ("SELECT 1", "SELECT"),
        ("CREATE TABLE IF NOT EXISTS orders (id int)", "CREATE orders"),
        ("SELECT * FROM (SELECT * FROM inner_table) x", "SELECT inner_table"),
        ("SELECT extract(year FROM made) FROM orders", "SELECT orders"),
        ("SELECT trim(both FROM a), (SELECT substring(b FROM 2) FROM t) FROM u", "SELECT t"),
        ("SELECT a IS DISTINCT FROM b FROM orders", "SELECT orders"),
        ("SELECT * FROM (orders JOIN users USING (id))", "SELECT orders"),
        ("SELECT * FROM (VALUES (1)) v JOIN orders ON true", "SELECT orders"),
        ("(SELECT a FROM orders) UNION (SELECT b FROM users)", "SELECT orders"),
        ("UPDATE OR IGNORE orders SET a = 1", "UPDATE orders"),
        ("UPDATE LOW_PRIORITY orders SET a = 1", "UPDATE orders"),
        ("BEGIN", "BEGIN"),
        ("END", "END"),
        ("abort", "ABORT"),
        ("SELECT CASE WHEN a THEN b END FROM orders", "SELECT orders"),
        ("secret words", "OTHER"),
        ("", "OTHER"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
}

#[test]
fn what_from_lists_before_the_first_table_is_passed_over() {
    for (query, expected) in [
        ("SELECT * FROM generate_series(1, 3) g, orders", "SELECT orders"),
        (
            "SELECT f(a, b), c FROM g($1, $2), shop.h(3) AS x(a, b), shop.orders o",
            "SELECT shop.orders",
        ),
        ("SELECT * FROM unnest($1, $2) WITH ORDINALITY AS t(a, b), orders", "SELECT orders"),
        ("SELECT * FROM (SELECT 1, 2) x, LATERAL f(x.a), orders", "SELECT orders"),
        ("SELECT * FROM (VALUES (1, 2), (3, 4)) AS v(a, b), orders", "SELECT orders"),
        ("SELECT * FROM ROWS FROM (f(1), g(2)) AS x(a, b), orders", "SELECT orders"),
        ("SELECT * FROM (f(1) x CROSS JOIN g(2)), orders", "SELECT orders"),
        ("WITH x AS (SELECT 1), y AS (SELECT 2) SELECT * FROM x, y z, orders", "SELECT orders"),
        // Behind other words a comma parts something else.
        ("SELECT a FROM f(1) WHERE b IN (c, d) ORDER BY e, g LIMIT 1", "SELECT"),
        (
            "SELECT a, b FROM f(1) GROUP BY a, b HAVING c WINDOW d AS (ORDER BY e, f), g AS ()",
            "SELECT",
        ),
        ("SELECT a FROM f(1) UNION SELECT b, c", "SELECT"),
        ("SELECT a FROM f(1) UNION VALUES (2), (3)", "SELECT"),
        ("SELECT a FROM (SELECT b, c FROM f(1)) x", "SELECT"),
        ("SELECT a FROM f(1); SELECT b, c", "SELECT"),
        ("SELECT extract(year FROM f(1)), b, trim(c FROM d), e", "SELECT"),
        ("SELECT a FROM f(1) x FOR UPDATE OF x, y", "SELECT"),
        ("VACUUM (FULL true, PARALLEL 2) orders", "VACUUM orders"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
    for (query, expected) in [
        ("SELECT * FROM JSON_TABLE(?, '$' COLUMNS (a INT PATH '$')) j, `orders`", "SELECT orders"),
        ("SELECT 1 FROM DUAL, orders", "SELECT orders"),
        ("SELECT a FROM (SELECT 1) x LIMIT 2, 3", "SELECT"),
        ("SELECT a, b FROM (SELECT 1) x INTO @a, @b", "SELECT"),
    ] {
        assert_eq!(shown(query, MYSQL).summary(), expected, "{query}");
    }
    for (query, expected) in [
        ("SELECT * FROM json_each(?) j, \"orders\"", "SELECT orders"),
        ("SELECT * FROM json_each(?) ORDER BY a, \"secret\"", "SELECT"),
        ("SELECT * FROM json_each(?) WHERE a IN (\"secret\", \"secret\")", "SELECT"),
        ("SELECT * FROM json_each(?) UNION VALUES (\"secret\"), (\"secret\")", "SELECT"),
        ("SELECT * FROM main.'orders'", "SELECT"),
    ] {
        let shown = shown(query, SQLITE);
        assert_eq!(shown.summary(), expected, "{query}");
        assert!(!shown.text.contains("secret"), "{query}");
    }
}

#[test]
fn to_mysql_a_table_that_is_changed_needs_no_word_before_it() {
    for (query, expected) in [
        ("INSERT orders SELECT * FROM users", "INSERT orders"),
        ("INSERT LOW_PRIORITY IGNORE shop.orders VALUES (1)", "INSERT shop.orders"),
        ("INSERT DELAYED INTO orders VALUES (1)", "INSERT orders"),
        ("REPLACE orders VALUES (1)", "REPLACE orders"),
        ("DELETE QUICK FROM orders", "DELETE orders"),
        ("SELECT a INTO OUTFILE '/tmp/a' FROM orders", "SELECT orders"),
        ("SELECT a INTO @b FROM orders", "SELECT orders"),
        ("SELECT 1 FROM DUAL", "SELECT"),
        // A database is no table.
        ("SHOW TABLES FROM shop", "SHOW"),
        ("SHOW TABLE STATUS FROM shop", "SHOW"),
        ("SHOW FULL COLUMNS FROM orders FROM shop", "SHOW orders"),
        ("SHOW INDEX FROM `orders`", "SHOW orders"),
        ("SHOW CREATE TABLE status", "SHOW status"),
        ("KILL QUERY 17", "KILL"),
        ("OPTIMIZE TABLE orders", "OPTIMIZE orders"),
        ("LOAD DATA INFILE '/tmp/a' INTO TABLE orders", "LOAD orders"),
    ] {
        assert_eq!(shown(query, MYSQL).summary(), expected, "{query}");
    }
}

#[test]
fn to_mysql_a_tables_name_may_begin_with_a_digit_and_no_value_is_one() {
    for (query, expected) in [
        (
            "SELECT 17 FROM 2024_orders WHERE a = 1",
            ("SELECT ? FROM 2024_orders WHERE a = ?", Some("2024_orders")),
        ),
        (
            "DELETE FROM shop.2024_orders",
            ("DELETE FROM shop.2024_orders", Some("shop.2024_orders")),
        ),
        ("SELECT 0xff, 1e9, .5e3, 1e-9, 17 FROM t", ("SELECT ?, ?, ?, ?, ? FROM t", Some("t"))),
        ("SELECT 17secret, .17secret FROM 17", ("SELECT ?, .? FROM ?", None)),
    ] {
        let shown = shown(query, MYSQL);
        assert_eq!((&*shown.text, shown.collection.as_deref()), expected, "{query}");
    }
}

#[test]
fn what_is_defined_is_a_collection_where_it_is_a_table_or_a_view() {
    for (query, expected) in [
        ("CREATE VIEW best AS SELECT * FROM orders", "CREATE best"),
        ("CREATE OR REPLACE TEMP VIEW shop.best (a, b) AS SELECT 1", "CREATE shop.best"),
        ("CREATE RECURSIVE VIEW best (n) AS SELECT * FROM orders", "CREATE best"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS best AS SELECT a FROM orders", "CREATE best"),
        ("EXPLAIN CREATE MATERIALIZED VIEW best AS SELECT a FROM orders", "EXPLAIN best"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY shop.best WITH NO DATA", "REFRESH shop.best"),
        ("ALTER VIEW best RENAME TO worst", "ALTER best"),
        ("DROP MATERIALIZED VIEW IF EXISTS best, worst", "DROP best"),
        ("COMMENT ON VIEW best IS 'secret'", "COMMENT best"),
        ("COMMENT ON TABLE orders IS 'secret'", "COMMENT orders"),
        ("COMMENT ON COLUMN orders.id IS 'secret'", "COMMENT"),
        ("CREATE TABLE copies AS WITH x AS (SELECT 1) SELECT * FROM orders", "CREATE copies"),
        ("CREATE UNLOGGED TABLE IF NOT EXISTS copies (LIKE orders)", "CREATE copies"),
        ("CREATE TABLE lines (id int REFERENCES orders (id) ON UPDATE CASCADE)", "CREATE lines"),
        ("CREATE TABLE old PARTITION OF orders FOR VALUES FROM (1) TO (2)", "CREATE old"),
        ("ALTER TABLE IF EXISTS ONLY orders RENAME TO old", "ALTER orders"),
        ("ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b", "ALTER"),
        ("DROP TABLE IF EXISTS orders, users", "DROP orders"),
        // What stands in them is read later, or is of another kind.
        ("CREATE INDEX CONCURRENTLY by_id ON orders (id)", "CREATE"),
        ("CREATE CONSTRAINT TRIGGER g AFTER INSERT ON orders FROM users EXECUTE f()", "CREATE"),
        ("CREATE FUNCTION f() RETURNS int RETURN (SELECT max(id) FROM orders)", "CREATE"),
        ("CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO orders VALUES (1); END", "CREATE"),
        ("CREATE RULE r AS ON INSERT TO orders DO INSTEAD INSERT INTO old VALUES (1)", "CREATE"),
        ("CREATE POLICY p ON orders USING (EXISTS (SELECT 1 FROM users))", "CREATE"),
        ("CREATE SCHEMA shop CREATE TABLE orders (a int)", "CREATE"),
        ("CREATE STATISTICS s ON a, b FROM orders", "CREATE"),
        ("CREATE PUBLICATION p FOR TABLE orders", "CREATE"),
        ("CREATE COLLATION german FROM \"de\"", "CREATE"),
        ("ALTER PUBLICATION p ADD TABLE orders", "ALTER"),
        ("ALTER ROLE bob SET search_path FROM CURRENT", "ALTER"),
        ("DROP FUNCTION f(int)", "DROP"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
    for (query, expected) in [
        ("CREATE DEFINER=`view`@`%` SQL SECURITY INVOKER VIEW best AS SELECT 1", "CREATE best"),
        ("CREATE ALGORITHM=MERGE DEFINER='a'@'b' VIEW best AS SELECT 1", "CREATE best"),
        ("CREATE DEFINER=root@localhost PROCEDURE p() UPDATE orders SET a = 1", "CREATE"),
        ("CREATE TRIGGER g AFTER INSERT ON orders FOR EACH ROW DELETE FROM old", "CREATE"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 HOUR DO DELETE FROM orders", "CREATE"),
        ("CREATE TABLE copies LIKE orders", "CREATE copies"),
        ("ALTER ONLINE TABLE orders ADD a INT", "ALTER orders"),
        ("SHOW CREATE VIEW best", "SHOW best"),
    ] {
        assert_eq!(shown(query, MYSQL).summary(), expected, "{query}");
    }
    for (query, expected) in [
        ("CREATE VIEW \"best\" AS SELECT \"secret\"", "CREATE best"),
        ("CREATE TRIGGER g AFTER DELETE ON orders BEGIN INSERT INTO old VALUES (1); END", "CREATE"),
        ("CREATE VIRTUAL TABLE temp.words USING fts5(body)", "CREATE temp.words"),
        ("DROP VIEW IF EXISTS main.\"best\"", "DROP main.best"),
    ] {
        let shown = shown(query, SQLITE);
        assert_eq!(shown.summary(), expected, "{query}");
        assert!(!shown.text.contains("secret"), "{query}");
    }
}

#[test]
fn what_looks_after_tables_names_them_as_each_dialect_lets_it() {
    for (query, expected) in [
        ("LOCK orders IN SHARE ROW EXCLUSIVE MODE", "LOCK orders"),
        ("LOCK TABLE ONLY orders, users NOWAIT", "LOCK orders"),
        ("VACUUM", "VACUUM"),
        ("VACUUM FULL FREEZE VERBOSE ANALYZE orders", "VACUUM orders"),
        ("VACUUM (FULL true, PARALLEL 2) shop.orders (a)", "VACUUM shop.orders"),
        ("VACUUM (ANALYZE); SELECT a FROM orders", "VACUUM"),
        ("ANALYZE VERBOSE orders (a)", "ANALYZE orders"),
        ("CLUSTER orders USING by_id", "CLUSTER orders"),
        ("REINDEX (VERBOSE) TABLE CONCURRENTLY orders", "REINDEX orders"),
        ("REINDEX INDEX by_id", "REINDEX"),
        ("COPY BINARY orders FROM STDIN", "COPY orders"),
        ("COPY orders FROM STDIN WITH DELIMITER AS ',' NULL AS 'x'", "COPY orders"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
    for (query, expected) in [
        ("LOCK TABLES orders READ, users WRITE", "LOCK orders"),
        ("LOCK INSTANCE FOR BACKUP", "LOCK"),
        ("UNLOCK TABLES", "UNLOCK"),
        ("FLUSH TABLES orders FOR EXPORT", "FLUSH orders"),
        ("FLUSH TABLES WITH READ LOCK", "FLUSH"),
        ("CHECK TABLE orders", "CHECK orders"),
        ("LOAD INDEX INTO CACHE orders", "LOAD"),
        ("HANDLER shop.orders READ FIRST", "HANDLER shop.orders"),
        ("DESC `shop`.`orders` 'a%'", "DESC shop.orders"),
        ("EXPLAIN orders", "EXPLAIN orders"),
        ("EXPLAIN FORMAT=JSON UPDATE orders SET a = 1", "EXPLAIN orders"),
        ("EXPLAIN INSERT orders VALUES (1)", "EXPLAIN orders"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN"),
        ("EXPLAIN FOR CONNECTION 5", "EXPLAIN"),
        ("SHOW FULL COLUMNS IN orders IN shop", "SHOW orders"),
        ("SHOW TABLES IN shop", "SHOW"),
    ] {
        assert_eq!(shown(query, MYSQL).summary(), expected, "{query}");
    }
    // An index or a database, for all that is known.
    for (query, expected) in [("ANALYZE main", "ANALYZE"), ("VACUUM main INTO 'a'", "VACUUM")] {
        assert_eq!(shown(query, SQLITE).summary(), expected, "{query}");
    }
}

#[test]
fn the_queries_that_with_names_are_no_tables_wherever_it_stands() {
    for (query, expected) in [
        ("EXPLAIN WITH x AS (SELECT 1) SELECT * FROM x", "EXPLAIN"),
        ("EXPLAIN WITH x AS (SELECT a FROM users) DELETE FROM orders", "EXPLAIN orders"),
        ("DECLARE c CURSOR WITH HOLD FOR WITH x AS (SELECT 1) SELECT * FROM x", "DECLARE"),
        ("COPY (WITH x AS (SELECT 1) SELECT * FROM x) TO STDOUT", "COPY"),
        (
            "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y JOIN orders ON a",
            "SELECT orders",
        ),
        ("PREPARE p AS WITH x AS (SELECT 1), y AS (SELECT 2) SELECT * FROM y", "PREPARE"),
        // Their names may be verbs, and so may what is said of their order.
        (
            "WITH start AS (SELECT 1), comment(a) AS (SELECT 2) SELECT * FROM orders",
            "SELECT orders",
        ),
        ("WITH RECURSIVE x AS (SELECT 1) SEARCH DEPTH FIRST BY a SET b SELECT * FROM x", "SELECT"),
        ("WITH x AS (SELECT 1) CYCLE a SET b USING c UPDATE orders SET a = 1", "UPDATE orders"),
        // Other words may follow it.
        ("SELECT a::timestamp WITH TIME ZONE, b AS c FROM c", "SELECT c"),
        ("SELECT * FROM f() WITH ORDINALITY AS x JOIN orders AS x ON true", "SELECT orders"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
    let sqlite = "WITH \"x\" AS (SELECT \"secret\") REPLACE INTO orders SELECT * FROM \"x\"";
    let shown = shown(sqlite, SQLITE);
    assert_eq!(shown.summary(), "REPLACE orders");
    assert!(shown.text.starts_with("WITH \"x\" AS (SELECT ?)"), "{}", shown.text);
}

#[test]
fn a_word_is_a_keyword_only_where_it_can_be_one() {
    for (query, expected) in [
        ("SELECT mail.from AS sender FROM messages mail", "SELECT messages"),
        ("SELECT (mail).into sender FROM messages mail", "SELECT messages"),
        ("SELECT trim(replace(a, 'x', '') FROM b) FROM orders", "SELECT orders"),
        ("EXPLAIN SELECT * FROM f() FOR UPDATE SKIP LOCKED", "EXPLAIN"),
        ("WITH x AS (SELECT * FROM f() FOR NO KEY UPDATE NOWAIT) SELECT * FROM x", "SELECT"),
        ("DECLARE c CURSOR FOR SELECT * FROM f() FOR UPDATE OF a", "DECLARE"),
        // A name is what it is without its quotes.
        ("SELECT * FROM \"we\"\"ird\".\"from\"", "SELECT we\"ird.from"),
        ("SELECT * FROM shop . /* the */ orders", "SELECT shop.orders"),
        ("SELECT * FROM größe.maß", "SELECT größe.maß"),
        ("SELECT * FROM U&\"d\\0061t\"", "SELECT"),
    ] {
        assert_eq!(shown(query, POSTGRES).summary(), expected, "{query}");
    }
    let mysql = "SET STATEMENT max_statement_time=1 FOR UPDATE `a``b` SET c = 1";
    assert_eq!(shown(mysql, MYSQL).summary(), "SET a`b");
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

/// In a debug build too: each of these took a minute where its parts were read again and again.
#[test]
fn a_text_of_any_length_is_read_to_a_bound_and_what_is_behind_that_tells_nothing() {
    let long = |part: &str| part.repeat(4_000_000 / part.len());
    for dialect in [POSTGRES, MYSQL, SQLITE, Dialect::Other] {
        for part in [
            "E'a'          --",
            "E'a'\n",
            "'it\\'s', 'a\\', ",
            "word ",
            "$a $b$ ",
            "(",
            "/*!",
            "/*! */",
        ] {
            shown(&long(part), dialect);
        }
    }
    let cut = shown(&format!("SELECT '{}' FROM orders", long("x")), POSTGRES);
    assert_eq!((&*cut.text, cut.collection), ("SELECT ?…", None));
    // The end, which nobody reads, would have told that a backslash escapes.
    let query = format!(r"SELECT 'it\'s a secret', '{}\'', a", long("x"));
    for dialect in [POSTGRES, MYSQL] {
        assert_eq!(shown(&query, dialect).text, "SELECT ?…", "{dialect:?}");
    }
}

#[test]
fn no_text_is_too_strange() {
    let odd = [
        "'", "\"", "$", "$a", "$a$", "/*", "*/", "/", "--", "?", ":", "@", ".", "1e", "ß'", "\\",
        "E'", "(", ")", "[", "]", "`", "FROM ", "\"é",
    ];
    for a in odd {
        for b in odd {
            for c in odd {
                for dialect in [POSTGRES, MYSQL, SQLITE, Dialect::Other] {
                    shown(&format!("{a}{b}{c}"), dialect);
                }
            }
        }
    }
}

//! What redspan adds to a service: the example `shop` against its bare version, which is in `tests/bench`
//! (`diff -u tests/bench/service/src/bare examples/shop` shows it).

use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: [&str; 3] = ["shop.rs", "store.rs", "warehouse.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of the bare file that are gone or changed, and those that are new or changed.
fn difference(file: &str) -> (Vec<String>, Vec<String>) {
    let bare = root().join("tests/bench/service/src/bare").join(file);
    let annotated = root().join("examples/shop").join(file);
    let ran = Command::new("diff").arg("-U0").arg(&bare).arg(&annotated).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines = || text.lines().skip(2);
    let with = |mark| lines().filter_map(move |line| line.strip_prefix(mark));
    (
        with('-').map(|line| line.trim().to_owned()).collect(),
        with('+').map(|line| line.trim().to_owned()).collect(),
    )
}

/// Lines of the example that are not in the bare one, and have this in them.
fn added(file: &str, what: &str) -> Vec<String> {
    difference(file).1.into_iter().filter(|line| line.contains(what)).collect()
}

#[test]
fn server_client_and_database_are_one_line_each() {
    assert_eq!(added("shop.rs", "redspan::axum"), [".layer(redspan::axum::layer().request_id())"]);
    assert_eq!(
        added("warehouse.rs", "redspan::axum"),
        [r#"Router::new().route("/shelves/{item}", post(shelves)).layer(redspan::axum::layer())"#]
    );
    assert_eq!(
        added("warehouse.rs", "send_traced"),
        [r#"let response = self.client.post(url).send_traced_to("/shelves/{item}").await?;"#]
    );
    // And where the pool's type is written, it is another one.
    assert_eq!(
        added("store.rs", "redspan::sqlx"),
        [
            "pub(crate) struct $name(redspan::sqlx::Pool<$database>);",
            r#"let pool = redspan::sqlx::traced(pool).named("shop").slow(WAIT / 2);"#,
        ]
    );
}

#[test]
fn nothing_of_the_bare_service_is_rewritten() {
    // Lines that are not as they were, each next to what became of it.
    let changed = |file| difference(file).0;
    assert_eq!(
        changed("store.rs"),
        ["pub(crate) struct $name(sqlx::Pool<$database>);"],
        "the pool's type"
    );
    assert_eq!(
        changed("warehouse.rs"),
        [
            "#[derive(Debug, thiserror::Error)]",
            "let response = self.client.post(url).send().await?;",
            r#"Router::new().route("/shelves/{item}", post(shelves))"#,
        ],
        "a derive, the request, the layer"
    );
    assert_eq!(
        changed("shop.rs"),
        ["#[derive(Debug, thiserror::Error)]", "shop.order(item, wish.fault).await.map(Json)"],
        "a derive, and the handler that counts for the business"
    );
}

#[test]
fn the_example_shows_its_own_difference() {
    let main = std::fs::read_to_string(root().join("examples/shop/main.rs")).unwrap();
    let shown: Vec<&str> = main.lines().filter_map(|line| line.strip_prefix("//! +")).collect();
    let all: Vec<String> = FILES.into_iter().flat_map(|file| difference(file).1).collect();
    assert!(shown.len() >= 4, "{shown:?}");
    for line in shown {
        assert!(all.iter().any(|added| added == line.trim()), "{line}");
    }
}

#[test]
fn the_bare_service_knows_nothing_of_redspan() {
    for file in FILES {
        let bare = root().join("tests/bench/service/src/bare").join(file);
        let text = std::fs::read_to_string(bare).unwrap();
        assert!(!text.contains("redspan") && !text.contains("instrumented"), "{file}");
    }
}

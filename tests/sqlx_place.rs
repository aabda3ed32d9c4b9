//! Where a database is, in the words of those who connect to it: by host, by address, by socket, by whichever
//! driver. None of these has to be there.

use redspan::sqlx::{Pool, traced};
use redspan::testing;
use sqlx::any::AnyPoolOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Database};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// `server.address`, `server.port` and `db.namespace`.
type Place = [Option<String>; 3];

/// As the wait for a connection shows it, which nobody gives.
async fn place_of<DB: Database>(pool: &Pool<DB>) -> Place {
    let (_, seen) = testing::scope_async(pool.acquire()).await;
    let spans = seen.spans();
    let wait = spans.iter().find(|span| span.name().starts_with("acquire ")).unwrap();
    ["server.address", "server.port", "db.namespace"]
        .map(|name| wait.attribute(name).map(|value| value.to_string()))
}

async fn postgres(options: PgConnectOptions) -> Place {
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(20));
    place_of(&traced(pool.connect_lazy_with(options.disable_statement_logging()))).await
}

async fn mysql(options: MySqlConnectOptions) -> Place {
    let pool = MySqlPoolOptions::new().acquire_timeout(Duration::from_millis(20));
    place_of(&traced(pool.connect_lazy_with(options.disable_statement_logging()))).await
}

fn place(address: &str, port: Option<u16>, namespace: &str) -> Place {
    [Some(address.to_owned()), port.map(|port| port.to_string()), Some(namespace.to_owned())]
}

#[tokio::test]
async fn a_database_is_where_its_options_say_and_nothing_panics() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Relaxed);
        before(panic);
    }));
    let of = || PgConnectOptions::new_without_pgpass().port(1).database("my shop");
    assert_eq!(postgres(of().host("127.0.0.1")).await, place("127.0.0.1", Some(1), "my shop"));
    assert_eq!(postgres(of().host("::1")).await, place("::1", Some(1), "my shop"));
    assert_eq!(postgres(of().host("[::1]")).await, place("::1", Some(1), "my shop"));
    assert_eq!(postgres(of().host("/no/where")).await, place("/no/where", None, "my shop"));
    assert_eq!(postgres(of().socket("/no/where")).await, place("/no/where", None, "my shop"));
    let user = of().host("127.0.0.1").username("CORP/me").password("a, password: \"b\"");
    assert_eq!(postgres(user).await, place("127.0.0.1", Some(1), "my shop"));

    let of = || MySqlConnectOptions::new().port(1).database("my shop");
    assert_eq!(mysql(of().host("127.0.0.1")).await, place("127.0.0.1", Some(1), "my shop"));
    assert_eq!(mysql(of().host("::1")).await, place("::1", Some(1), "my shop"));
    assert_eq!(mysql(of().socket("/no/where")).await, place("/no/where", None, "my shop"));
    assert_eq!(PANICS.load(Relaxed), 0);
}

#[tokio::test]
async fn a_driver_for_any_database_is_known_by_the_one_it_speaks_to() {
    sqlx::any::install_default_drivers();
    let (_, seen) = testing::scope_async(async {
        let pool = traced(AnyPoolOptions::new().connect("sqlite::memory:").await.unwrap());
        sqlx::query("SELECT 'secret'").execute(&pool).await.unwrap();
        let lazy = AnyPoolOptions::new().acquire_timeout(Duration::from_millis(20));
        let lazy = traced(lazy.connect_lazy("mysql://me@127.0.0.1:1/my%20shop").unwrap());
        lazy.acquire().await.unwrap_err();
    })
    .await;
    let query = seen.span("SELECT");
    assert_eq!(query.attribute("db.system.name"), Some("sqlite".into()));
    assert_eq!(query.attribute("db.query.text"), Some("SELECT ?".into()));
    let wait = seen.span("acquire my shop");
    assert_eq!(wait.attribute("db.system.name"), Some("mysql".into()));
    assert_eq!(wait.attribute("db.namespace"), Some("my shop".into()));
}

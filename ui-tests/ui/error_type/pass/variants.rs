#![deny(warnings)]

use redspan::{Blame, ErrorType, Level};

#[derive(ErrorType)]
#[allow(dead_code)]
enum Charge {
    #[error_type(client)]
    CardDeclined,
    Gateway(std::io::Error),
    #[error_type("limit", client, level = "info")]
    OverLimit { cents: u64 },
    #[error_type(retryable, level = Level::DEBUG)]
    HTTPBusy(u8, u16),
    r#Type,
}

#[derive(ErrorType)]
enum Never {}

/// All that do not say otherwise.
#[derive(ErrorType)]
#[error_type(client, retryable, level = "trace")]
enum Shared {
    First,
    #[error_type(server, retryable = false, level = "error")]
    Second,
}

#[derive(ErrorType)]
struct NotFound;

#[derive(ErrorType)]
#[error_type("gone", client)]
#[allow(dead_code)]
struct Gone {
    since: u64,
}

fn never(never: &Never) -> &'static str {
    never.error_type()
}

fn said(error: &dyn ErrorType) -> (&'static str, Blame, bool, Option<Level>) {
    (error.error_type(), error.blame(), error.retryable(), error.level())
}

fn main() {
    let _ = never;
    let gateway = Charge::Gateway(std::io::ErrorKind::TimedOut.into());
    for (error, expected) in [
        (&Charge::CardDeclined as &dyn ErrorType, ("card_declined", Blame::Client, false, None)),
        (&gateway, ("gateway", Blame::Server, false, None)),
        (&Charge::OverLimit { cents: 1 }, ("limit", Blame::Client, false, Some(Level::INFO))),
        (&Charge::HTTPBusy(1, 2), ("http_busy", Blame::Server, true, Some(Level::DEBUG))),
        (&Charge::r#Type, ("type", Blame::Server, false, None)),
        (&Shared::First, ("first", Blame::Client, true, Some(Level::TRACE))),
        (&Shared::Second, ("second", Blame::Server, false, Some(Level::ERROR))),
        (&NotFound, ("not_found", Blame::Server, false, None)),
        (&Gone { since: 1 }, ("gone", Blame::Client, false, None)),
        (&Box::new(&Gone { since: 1 }), ("gone", Blame::Client, false, None)),
    ] {
        assert_eq!(said(error), expected);
    }
    assert_eq!(Blame::Client.level(), Level::WARN);
    assert_eq!(Blame::Server.to_string(), "server");
}

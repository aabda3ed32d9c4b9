//! What goes on after the head of an answer, on both sides.

use crate::bodies::Script;
use crate::plan::{Below, Parts, Plan, Reads, Session};
use crate::world::{Served, begun_by, current, nothing_is_current, say, wrong};
use axum::body::Body;
use axum::response::Response;
use http::Method;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use redspan::context::{Captured, Follow, capture};
use redspan::instrumented;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

/// The head that begins a session, or refuses it.
pub(crate) fn answer(
    served: Arc<Served>,
    session: Session,
    upgrade: Option<OnUpgrade>,
) -> Response {
    let head = Response::builder();
    let Some(upgrade) = upgrade.filter(|_| session.refused.is_none()) else {
        let refused = head.status(session.refused.unwrap_or(426));
        return refused.body(Body::empty()).unwrap();
    };
    let head = match served.method {
        Method::CONNECT => head.status(200),
        _ => head.status(101).header("connection", "upgrade").header("upgrade", "talk"),
    };
    begin(served, session, upgrade);
    let body = match session.has_body {
        true => Body::new(Script::of(&Parts { sizes: vec![17], ..Parts::none() })),
        false => Body::empty(),
    };
    head.body(body).unwrap()
}

/// Lets it run in a task of its own.
fn begin(served: Arc<Served>, session: Session, upgrade: OnUpgrade) {
    let request = capture();
    let (none, own) = (SpanContext::empty_context(), request.span_context());
    let (place, parent, link) = match session.place {
        Below::Request => (Some(request.clone()), own, None),
        Below::Link => (Some(request.clone().detach()), none, own.is_sampled().then_some(own)),
        Below::Nothing => (None, none, None),
    };
    let id = place.as_ref().map(|_| served.see(|seen| seen.id.clone())).unwrap_or_default();
    let answers = answers((parent, link), upgrade, session, id, request);
    tokio::spawn(async move {
        // It is dropped before what it is waited for by.
        let _served = served;
        match place {
            Some(place) => pin!(answers.in_context(place)).await,
            None => {
                nothing_is_current("in a task");
                pin!(answers).await;
            }
        }
    });
}

#[instrumented]
async fn answers(
    (parent, link): (SpanContext, Option<SpanContext>),
    upgrade: OnUpgrade,
    session: Session,
    id: String,
    request: Captured,
) {
    let own = begun_by("answers", parent, link);
    // None if the client has gone before.
    if let Ok(upgraded) = upgrade.await {
        if request.context().span().is_recording() {
            wrong(format!("{request:?} is not over as its session begins"));
        }
        let mut io = TokioIo::new(upgraded);
        let mut word = [0; 100];
        for _ in 0..session.answered {
            let Ok(read @ 1..) = io.read(&mut word).await else { break };
            say(&current(), &id, "in a session");
            if io.write_all(&word[..read]).await.is_err() {
                break;
            }
        }
    }
    if current() != own {
        wrong(format!("{:?} is current at the end of a session, not {own:?}", current()));
    }
}

/// Whether an answer lets a session begin that is to be had.
pub(crate) fn begins(plan: &Plan, status: u16) -> Option<Session> {
    let is_connect = plan.method == "CONNECT";
    let begins = status == 101 || is_connect && (200..300).contains(&status);
    plan.session.filter(|_| begins && plan.client_reads != Reads::Nothing)
}

/// What a client says, until it has said all or nobody answers.
pub(crate) async fn talk(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    session: Session,
) -> io::Result<()> {
    let mut word = [0; 100];
    for _ in 0..session.said {
        io.write_all(b"a word").await?;
        if session.pauses {
            sleep(Duration::from_millis(1)).await;
        }
        if io.read(&mut word).await? == 0 {
            break;
        }
    }
    Ok(())
}

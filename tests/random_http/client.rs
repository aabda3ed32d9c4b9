//! Clients that do what a plan says.

use crate::plan::{Asks, Plan, Reads};
use crate::server::Script;
use crate::world::{ASKED_SO_FAR, SERVER, Sent, WORLD, begun, current, wrong};
use http::{StatusCode, Version};
use opentelemetry::trace::SpanContext;
use redspan::instrumented;
use redspan::reqwest::{Attempt, SendTraced, redirects, retries};
use reqwest::redirect::Policy;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Clients of HTTP/1.1 and of HTTP/2, which follow redirects, and ask again where a server is busy.
static CLIENTS: LazyLock<[reqwest::Client; 2]> = LazyLock::new(|| {
    [false, true].map(|is_two| {
        let is_busy = |attempt: &Attempt<'_>| {
            attempt.status == Some(StatusCode::SERVICE_UNAVAILABLE) && attempt.method == "GET"
        };
        let again = reqwest::retry::for_host("127.0.0.1").max_retries_per_request(1).no_budget();
        let client = reqwest::Client::builder()
            .redirect(redirects(Policy::limited(5)))
            .retry(retries(again, is_busy));
        if is_two { client.http2_prior_knowledge() } else { client }.build().unwrap()
    })
});

#[instrumented]
pub(crate) async fn ask(parent: SpanContext, plan: Arc<Plan>) {
    let own = begun("ask", parent);
    // A handler that is asked twice asks on twice.
    let number = plan.seed * 10_000 + ASKED_SO_FAR.fetch_add(1, Relaxed) % 10_000;
    WORLD.lock().unwrap().plans.insert(number, plan.clone());
    let path = plan.place.path(number);
    if let Asks::Raw(..) = plan.asks {
        // Hung up, or nobody listens: what came is seen by the server.
        let _ = timeout(plan.patience, ask_raw(&plan, &path)).await;
        return;
    }
    let url = format!("http://{}{path}", SERVER.get().unwrap());
    let client = &CLIENTS[usize::from(plan.version == Version::HTTP_2)];
    let mut request = client.request(plan.method.parse().unwrap(), url);
    for (name, value) in plan.headers() {
        request = request.header(name, value);
    }
    if !plan.body.sizes.is_empty() {
        request = request.body(reqwest::Body::wrap(Script::of(&plan.body, None)));
    }
    if plan.has_timeout {
        request = request.timeout(plan.patience);
    }
    let asking = async {
        let answer = match plan.asks {
            Asks::Plain => request.send().await,
            asks => send(number, &plan, asks == Asks::Template, request).await,
        };
        let Ok(mut answer) = answer else { return };
        let most = [0, 1, usize::MAX][plan.client_reads as usize];
        for _ in 0..most {
            let Ok(Some(_)) = answer.chunk().await else { break };
        }
    };
    let _ = timeout(plan.patience, asking).await;
    if current() != own {
        wrong(format!("{number}: {:?} is current at the end, not {own:?}", current()));
    }
}

/// Sends it as a span.
async fn send(
    number: u64,
    plan: &Plan,
    has_template: bool,
    request: reqwest::RequestBuilder,
) -> reqwest::Result<reqwest::Response> {
    let sent = Arc::new(Sent {
        number,
        path: plan.place.path(number),
        method: plan.method.parse().unwrap(),
        template: has_template.then_some("/{place}/{number}"),
        parent: current(),
        answer: Mutex::default(),
    });
    WORLD.lock().unwrap().sent.push(sent.clone());
    let answer = match sent.template {
        Some(template) => request.send_traced_to(template).await,
        None => request.send_traced().await,
    };
    let came = answer.as_ref().map(|answer| (answer.status().as_u16(), answer.version()));
    let word = |error: &reqwest::Error| match () {
        () if error.is_timeout() => "timeout",
        () if error.is_connect() => "connect",
        () if error.is_redirect() => "redirect",
        () if error.is_body() => "body",
        () => "request",
    };
    *sent.answer.lock().unwrap() = Some(came.map_err(word));
    answer
}

/// Sends it, or a part of it, over a socket.
async fn ask_raw(plan: &Plan, path: &str) -> io::Result<()> {
    let Asks::Raw(most, times, resets) = plan.asks else { return Ok(()) };
    let mut text = format!("{} {path} {:?}\r\nhost: shop\r\n", plan.method, plan.version);
    for (name, value) in plan.headers() {
        text += &format!("{name}: {value}\r\n");
    }
    text += match times {
        1 => "connection: close\r\n",
        _ => "connection: keep-alive\r\nexpect: 100-continue\r\n",
    };
    let is_chunked = plan.body.length().is_none() && !plan.body.sizes.is_empty();
    text += if is_chunked { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" };
    for &size in &plan.body.sizes {
        let part = "x".repeat(size);
        text += &if is_chunked { format!("{size:x}\r\n{part}\r\n") } else { part };
    }
    if is_chunked {
        text += "0\r\n\r\n";
    }
    let all = text.repeat(times);
    let mut stream = TcpStream::connect(SERVER.get().unwrap()).await?;
    if resets {
        stream.set_zero_linger()?;
    }
    stream.write_all(&all.as_bytes()[..all.len() * most.min(1_000) / 1_000]).await?;
    let mut answer = vec![0; 1_000];
    match plan.client_reads {
        Reads::Nothing => {}
        Reads::One => drop(stream.read(&mut answer).await?),
        Reads::All => while stream.read(&mut answer).await? > 0 {},
    }
    Ok(())
}

//! Clients that do what a plan says.

use crate::bodies::Script;
use crate::plan::{Asked, Asks, End, Leaves, Plan, Raw, Reads};
use crate::sessions::{begins, talk};
use crate::world::{ASKED_SO_FAR, PLANS, SERVER, Sent, WORLD, begun, current, wrong};
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::ext::Protocol;
use hyper::upgrade;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry::trace::SpanContext;
use redspan::instrumented;
use redspan::reqwest::{Attempt, SendTraced, redirects, retries};
use redspan::tower::ClientLayer;
use reqwest::redirect::Policy;
use std::any::type_name;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio::try_join;
use tower_layer::Layer;
use tower_service::Service;

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

const TEMPLATE: &str = "/{place}/{number}";

/// hyper's clients of both, behind a layer.
static TOWER: LazyLock<[redspan::tower::Client<Client<HttpConnector, Script>, Template>; 2]> =
    LazyLock::new(|| {
        [false, true].map(|is_two| {
            let client = Client::builder(TokioExecutor::new()).http2_only(is_two).build_http();
            let template: Template = |_| Some(TEMPLATE.to_owned());
            ClientLayer::new().with_route(template).layer(client)
        })
    });

type Template = fn(&Request<Script>) -> Option<String>;

#[instrumented]
pub(crate) async fn ask(parent: SpanContext, plan: Arc<Plan>) {
    let own = begun("ask", parent);
    // A handler that is asked twice asks on twice.
    let number = plan.seed * 10_000 + ASKED_SO_FAR.fetch_add(1, Relaxed) % 10_000;
    PLANS.lock().unwrap().insert(number, plan.clone());
    // Some go away before their answer has come; what did come is seen by the server.
    let _ = match plan.asks {
        Asks::Raw(raw) => timeout(plan.patience, ask_raw(raw, number, &plan)).await.map(drop),
        Asks::Tower => timeout(plan.patience, ask_tower(number, &plan)).await.map(drop),
        _ => timeout(plan.patience, ask_reqwest(number, &plan)).await.map(drop),
    };
    if current() != own {
        wrong(format!("{number}: {:?} is current at the end, not {own:?}", current()));
    }
}

fn url(number: u64, plan: &Plan) -> String {
    format!("http://{}{}", SERVER.get().unwrap(), plan.place.path(number))
}

async fn ask_tower(number: u64, plan: &Plan) -> Result<(), Error> {
    let request = Request::builder().method(plan.method).uri(url(number, plan));
    let request = plan
        .headers(number)
        .into_iter()
        .fold(request.version(plan.version), |request, it| request.header(it.0, it.1));
    let mut request = request.body(Script::of(&plan.body)).unwrap();
    if plan.session.is_some_and(|it| it.asked == Asked::Upgrade) {
        // Over HTTP/1 nobody looks at it.
        request.extensions_mut().insert(Protocol::from_static("talk"));
    }
    let sent = sent(number, plan, Some(TEMPLATE));
    let answer = TOWER[usize::from(plan.version == Version::HTTP_2)].clone().call(request).await;
    let came = answer.as_ref().map(|answer| (answer.status().as_u16(), answer.version()));
    *sent.answer.lock().unwrap() = Some(came.map_err(|_| type_name::<Error>()));
    let answer = answer?;
    if let Some(session) = begins(plan, answer.status().as_u16()) {
        if let Ok(upgraded) = upgrade::on(answer).await {
            let _ = talk(TokioIo::new(upgraded), session).await;
        }
        return Ok(());
    }
    let mut body = answer.into_body();
    for _ in 0..plan.client_reads.most() {
        let Some(Ok(_)) = body.frame().await else { break };
    }
    Ok(())
}

async fn ask_reqwest(number: u64, plan: &Plan) -> reqwest::Result<()> {
    let client = &CLIENTS[usize::from(plan.version == Version::HTTP_2)];
    let mut request = client.request(plan.method.parse().unwrap(), url(number, plan));
    for (name, value) in plan.headers(number) {
        request = request.header(name, value);
    }
    if !plan.body.sizes.is_empty() {
        request = request.body(reqwest::Body::wrap(Script::of(&plan.body)));
    }
    if plan.has_timeout {
        request = request.timeout(plan.patience);
    }
    let mut answer = match plan.asks {
        Asks::Plain => request.send().await?,
        _ => send(number, plan, request).await?,
    };
    if let Some(session) = begins(plan, answer.status().as_u16()) {
        let _ = talk(answer.upgrade().await?, session).await;
        return Ok(());
    }
    for _ in 0..plan.client_reads.most() {
        let Ok(Some(_)) = answer.chunk().await else { break };
    }
    Ok(())
}

/// That it is being sent.
fn sent(number: u64, plan: &Plan, template: Option<&'static str>) -> Arc<Sent> {
    let sent = Arc::new(Sent {
        number,
        path: plan.place.path(number),
        method: plan.method.parse().unwrap(),
        template,
        parent: current(),
        answer: Mutex::default(),
    });
    WORLD.lock().unwrap().sent.push(sent.clone());
    sent
}

/// Sends it as a span.
async fn send(
    number: u64,
    plan: &Plan,
    request: reqwest::RequestBuilder,
) -> reqwest::Result<reqwest::Response> {
    let sent = sent(number, plan, (plan.asks == Asks::Template).then_some(TEMPLATE));
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

/// What is sent over a socket: the head, and all.
fn text(raw: Raw, number: u64, plan: &Plan) -> (usize, String) {
    let is_tunnel = plan.session.is_some_and(|it| it.asked == Asked::Tunnel);
    let path = if is_tunnel { "shop:443".to_owned() } else { plan.place.path(number) };
    let mut text = format!("{} {path} {:?}\r\nhost: shop\r\n", plan.method, plan.version);
    for (name, value) in plan.headers(number) {
        text += &format!("{name}: {value}\r\n");
    }
    text += if raw.times == 1 { "connection: close\r\n" } else { "connection: keep-alive\r\n" };
    let is_chunked = plan.body.length().is_none() && !plan.body.sizes.is_empty();
    text += if is_chunked { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" };
    let head = text.len();
    for &size in &plan.body.sizes {
        let part = "x".repeat(size);
        text += &if is_chunked { format!("{size:x}\r\n{part}\r\n") } else { part };
    }
    if is_chunked {
        text += if plan.body.end == End::Trailers { "0\r\nchecksum: 17\r\n" } else { "0\r\n" };
        text += "\r\n";
    }
    (head, text)
}

/// Sends it, or a part of it, over a socket, while it reads.
async fn ask_raw(raw: Raw, number: u64, plan: &Plan) -> io::Result<()> {
    let (head, text) = text(raw, number, plan);
    let all = text.repeat(raw.times);
    let most = all.len() * raw.most.min(1_000) / 1_000;
    let head = head.min(most);
    let mut stream = TcpStream::connect(SERVER.get().unwrap()).await?;
    if raw.leaves == Leaves::Resets {
        stream.set_zero_linger()?;
    }
    let mut answer = vec![0; 1_000];
    stream.write_all(&all.as_bytes()[..head]).await?;
    if plan.expects && raw.waits {
        let _ = stream.read(&mut answer).await?;
    }
    let (mut from, mut to) = stream.split();
    let writes = async {
        for part in all.as_bytes()[head..most].chunks(most / 4 + 1) {
            to.write_all(part).await?;
            if plan.body.pauses {
                sleep(Duration::from_millis(1)).await;
            }
        }
        if raw.leaves == Leaves::StopsSending && plan.session.is_none() {
            to.shutdown().await?;
        }
        io::Result::Ok(())
    };
    match plan.client_reads {
        Reads::Nothing => writes.await,
        Reads::One if plan.session.is_none() => tokio::select! {
            read = from.read(&mut answer) => read.map(drop),
            Err(error) = writes => Err(error),
        },
        Reads::All if plan.session.is_none() => {
            let reads = async {
                while from.read(&mut answer).await? > 0 {}
                Ok(())
            };
            try_join!(writes, reads).map(drop)
        }
        Reads::One | Reads::All => {
            writes.await?;
            let read = stream.read(&mut answer).await?;
            let status = answer[..read].get(9..12).and_then(|it| str::from_utf8(it).ok());
            match begins(plan, status.and_then(|it| it.parse().ok()).unwrap_or_default()) {
                Some(session) => talk(stream, session).await,
                None => Ok(()),
            }
        }
    }
}

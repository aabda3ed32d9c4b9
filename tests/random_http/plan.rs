//! What clients and handlers are to do.

use crate::LONG;
use http::Version;
use redspan_tests::Random;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits longer for a handler.
pub(crate) const LIMIT: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ends,
    Trailers,
    Fails,
    Panics,
    Stalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Nothing,
    Hint,
    Header,
    TooMuch,
}

#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) sizes: Vec<usize>,
    pub(crate) pauses: bool,
    pub(crate) says: Says,
    pub(crate) says_end: bool,
    pub(crate) end: End,
    /// So many parts of the request come before its own, read while they are given back.
    pub(crate) echoes: usize,
    /// The bytes that it says of these.
    pub(crate) echoed: usize,
    /// Whether it breaks off where the request does.
    pub(crate) minds: bool,
}

impl Parts {
    pub(crate) fn none() -> Parts {
        Parts {
            sizes: Vec::new(),
            pauses: false,
            says: Says::Nothing,
            says_end: true,
            end: End::Ends,
            echoes: 0,
            echoed: 0,
            minds: false,
        }
    }

    pub(crate) fn said(&self) -> Option<u64> {
        let all = (self.sizes.iter().sum::<usize>() + self.echoed) as u64;
        match self.says {
            Says::Nothing => None,
            Says::Hint | Says::Header => Some(all),
            Says::TooMuch => Some(all + 5),
        }
    }

    pub(crate) fn length(&self) -> Option<String> {
        let said = self.said().filter(|_| matches!(self.says, Says::Header | Says::TooMuch));
        said.map(|said| said.to_string())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    One,
    All,
}

impl Reads {
    /// So many parts.
    pub(crate) fn most(self) -> usize {
        match self {
            Reads::Nothing => 0,
            Reads::One => 1,
            Reads::All => usize::MAX,
        }
    }
}

/// What is asked for in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Another protocol: by a header over HTTP/1, by an extended CONNECT over HTTP/2.
    Upgrade,
    /// A tunnel: that is to a server, and has no path.
    Tunnel,
}

/// What goes on after the head of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) asked: Asked,
    /// With which status, if it does not begin.
    pub(crate) refused: Option<u16>,
    /// How many words the client says, and to how many it is answered.
    pub(crate) said: usize,
    pub(crate) answered: usize,
    pub(crate) pauses: bool,
    /// Whether the head that begins it has a body, which nobody sends.
    pub(crate) has_body: bool,
    pub(crate) place: Below,
}

/// Whether a session is a part of the request that it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    Request,
    /// It is linked to that.
    Link,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Answers,
    Panics,
    Waits,
}

/// Where it is asked, behind how many routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// For GET, HEAD and POST alone.
    Some,
    Any,
    Nested,
    /// A service with a layer of its own.
    Served,
    Nowhere,
    LeftOut,
    /// A CONNECT that names no path.
    Tunnel,
}

impl Place {
    pub(crate) fn path(self, number: u64) -> String {
        match self {
            Place::LeftOut => "/health".into(),
            Place::Tunnel => String::new(),
            Place::Nowhere => format!("/nested/nowhere/{number}"),
            it => it.route().unwrap_or_default().replace("{number}", &number.to_string()),
        }
    }

    pub(crate) fn route(self) -> Option<&'static str> {
        match self {
            Place::Some => Some("/some/{number}"),
            Place::Any => Some("/any/{number}"),
            Place::Nested => Some("/nested/deep/{number}"),
            Place::Served => Some("/served/deep/{number}"),
            Place::Nowhere | Place::LeftOut | Place::Tunnel => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Traced,
    /// Named by a template.
    Template,
    Plain,
    /// By hyper's client, behind the layer for clients.
    Tower,
    Raw(Raw),
}

/// Over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// So many thousandths are sent.
    pub(crate) most: usize,
    pub(crate) times: usize,
    /// Whether its body waits until it was asked for.
    pub(crate) waits: bool,
    pub(crate) leaves: Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    Closes,
    Resets,
    /// It reads on.
    StopsSending,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) place: Place,
    pub(crate) method: &'static str,
    pub(crate) version: Version,
    pub(crate) asks: Asks,
    pub(crate) id: Option<String>,
    /// Whether a POST says that it speaks gRPC, whose clients are told of a panic in other words.
    is_grpc: bool,
    /// Whether it says that it waits with its body.
    pub(crate) expects: bool,
    /// What a client that is not traced says.
    pub(crate) parent: Option<String>,
    pub(crate) body: Parts,
    pub(crate) patience: Duration,
    /// Whose time it is: the client's, or that of what is around it.
    pub(crate) has_timeout: bool,
    pub(crate) client_reads: Reads,
    pub(crate) handler_reads: Reads,
    pub(crate) redirects: u32,
    pub(crate) redirect: u16,
    pub(crate) calls: u32,
    pub(crate) asks_on: Option<Arc<Plan>>,
    pub(crate) session: Option<Session>,
    pub(crate) does: Does,
    pub(crate) status: u16,
    pub(crate) answer: Parts,
}

impl Plan {
    pub(crate) fn headers(&self, number: u64) -> Vec<(&'static str, String)> {
        let length = self.body.length();
        let says_parent = matches!(self.asks, Asks::Plain | Asks::Raw(_));
        let parent = self.parent.clone().filter(|_| says_parent);
        let all = [("x-request-id", self.id.clone()), ("traceparent", parent)];
        let grpc = (self.is_grpc && self.method == "POST").then(|| "application/grpc".to_owned());
        let expects = (self.expects && self.version != Version::HTTP_2).then_some("100-continue");
        let asked = self.session.map(|session| session.asked);
        let upgrade = asked == Some(Asked::Upgrade) && self.method != "CONNECT";
        let word = |said: &str| upgrade.then(|| said.to_owned());
        let all = all.into_iter().chain([
            ("content-length", length),
            ("content-type", grpc),
            ("expect", expects.map(str::to_owned)),
            ("connection", word("upgrade")),
            ("upgrade", word("talk")),
            // There is no path to say it.
            ("number", (asked == Some(Asked::Tunnel)).then(|| number.to_string())),
        ]);
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn parts(random: &mut Random, ends: &[End]) -> Parts {
    let most = random.of(&[0, 0, 1, 2, 5]);
    let sizes = (0..most).map(|_| random.of(&[1, 17, 1_000, 1_000, 200_000]));
    Parts {
        sizes: sizes.collect(),
        pauses: random.below(3) == 0,
        says: random.of(&[Says::Nothing, Says::Nothing, Says::Hint, Says::Header, Says::TooMuch]),
        says_end: random.below(2) == 0,
        end: random.of(ends),
        ..Parts::none()
    }
}

fn session(random: &mut Random) -> Session {
    Session {
        asked: random.of(&[Asked::Upgrade, Asked::Upgrade, Asked::Tunnel]),
        refused: random.of(&[None, None, None, Some(400), Some(426), Some(501)]),
        said: random.below(4),
        answered: random.below(4),
        pauses: random.below(2) == 0,
        has_body: random.below(3) == 0,
        place: random.of(&[Below::Request, Below::Link, Below::Nothing]),
    }
}

/// What they redirect with: some with the body, some without.
pub(crate) const REDIRECTS: [u16; 4] = [302, 303, 307, 308];

const METHODS: [&str; 7] = ["GET", "GET", "GET", "POST", "HEAD", "PUT", "BREW"];
const STATUSES: [u16; 16] =
    [200, 200, 200, 200, 200, 200, 201, 204, 205, 304, 418, 500, 503, 100, 101, 103];

pub(crate) fn plan(random: &mut Random, seed: u64, deep: u32) -> Plan {
    use End::{Ends, Fails, Panics, Stalls, Trailers};
    let place = [Place::Some, Place::Any, Place::Nested, Place::Served];
    let raw = Asks::Raw(Raw {
        most: random.below(1_300),
        times: 1 + random.below(2),
        waits: random.below(2) == 0,
        leaves: random.of(&[Leaves::Closes, Leaves::Resets, Leaves::StopsSending]),
    });
    let short = random.below(20_000) as u64;
    let parent = match random.below(4) {
        0 => None,
        1 => Some("00-0000000000000000000000000000000-00f067aa0ba902b7-01".to_owned()),
        flags => Some(format!(
            "00-{:032x}-{:016x}-0{}",
            u128::from(random.next_u64()) << 64 | 1,
            random.next_u64() | 1,
            flags - 2
        )),
    };
    let mut it = Plan {
        seed,
        place: match random.below(16) {
            0 => Place::Nowhere,
            1 => Place::LeftOut,
            _ => random.of(&place),
        },
        method: random.of(&METHODS),
        version: random.of(&[Version::HTTP_11, Version::HTTP_2]),
        asks: random.of(&[Asks::Traced, Asks::Template, Asks::Tower, Asks::Plain, raw]),
        id: random.of(&[None, Some("one"), Some("not plain")]).map(|id| format!("{id}{seed}")),
        is_grpc: random.below(4) == 0,
        expects: random.below(4) == 0,
        parent,
        body: parts(random, &[Ends, Ends, Ends, Trailers, Fails, Panics]),
        patience: random.of(&[LONG, LONG, LONG, Duration::from_micros(short)]),
        has_timeout: random.below(2) == 0,
        client_reads: random.of(&[Reads::All, Reads::All, Reads::One, Reads::Nothing]),
        handler_reads: random.of(&[Reads::All, Reads::All, Reads::One, Reads::Nothing]),
        redirects: random.of(&[0, 0, 0, 0, 1, 3]),
        redirect: random.of(&REDIRECTS),
        calls: random.below(3) as u32,
        asks_on: None,
        session: (random.below(5) == 0).then(|| session(random)),
        does: match random.below(12) {
            0 => Does::Panics,
            1 => Does::Waits,
            _ => Does::Answers,
        },
        status: random.of(&STATUSES),
        answer: parts(random, &[Ends, Ends, Ends, Ends, Trailers, Fails, Panics, Stalls]),
    };
    if deep > 0 && random.below(4) == 0 {
        it.asks_on = Some(Arc::new(plan(random, seed, deep - 1)));
    }
    let echoes = random.below(3) == 0;
    if it.body.sizes.is_empty() || (!echoes && random.below(2) == 0) {
        it.body = Parts::none();
    }
    if let Asks::Raw(_) = it.asks {
        it.version = random.of(&[Version::HTTP_11, Version::HTTP_11, Version::HTTP_10]);
        it.body.end = random.of(&[Ends, Trailers]);
        it.patience = it.patience.min(LIMIT);
    }
    if let Some(session) = &mut it.session {
        let is_two = it.version == Version::HTTP_2;
        if is_two && it.asks != Asks::Tower {
            // Others do not say which protocol they ask for.
            session.asked = Asked::Tunnel;
        }
        if is_two || session.asked == Asked::Tunnel {
            // What is sent afterwards is the session's.
            (it.method, it.redirects, it.body) = ("CONNECT", 0, Parts::none());
        }
        it.patience = it.patience.min(LIMIT);
    }
    if matches!(it.status, 100..200 | 204 | 304) || it.session.is_some() {
        it.answer = Parts::none();
    } else if echoes {
        it.answer.echoes = random.of(&[1, 2, usize::MAX, usize::MAX]);
        it.answer.echoed = it.body.sizes.iter().sum();
        it.body.end = random.of(&[it.body.end, Fails, Panics]);
        if it.body.end == Panics {
            // Over HTTP/2 no server is told that the rest will not come: each side waits for the other.
            it.patience = it.patience.min(LIMIT);
        }
        it.answer.minds = random.below(2) == 0;
        it.handler_reads = random.of(&[Reads::Nothing, Reads::Nothing, it.handler_reads]);
    }
    if it.answer.end == Stalls {
        // Whoever has more of a request to read is not told that its client has gone.
        it.body = Parts::none();
        it.patience = it.patience.min(LIMIT);
        if let Asks::Raw(raw) = &mut it.asks {
            (raw.most, raw.times, raw.waits) = (1_000, 1, false);
        }
    }
    it
}

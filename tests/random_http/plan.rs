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
}

impl Parts {
    fn none() -> Parts {
        let (sizes, says) = (Vec::new(), Says::Nothing);
        Parts { sizes, pauses: false, says, says_end: true, end: End::Ends }
    }

    pub(crate) fn said(&self) -> Option<u64> {
        let all = self.sizes.iter().sum::<usize>() as u64;
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
}

impl Place {
    pub(crate) fn path(self, number: u64) -> String {
        match self {
            Place::LeftOut => "/health".into(),
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
            Place::Nowhere | Place::LeftOut => None,
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
    /// Over a socket, of which so many thousandths are sent, twice or once; and closed or reset.
    Raw(usize, usize, bool),
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
    pub(crate) does: Does,
    pub(crate) status: u16,
    pub(crate) answer: Parts,
}

impl Plan {
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let length = self.body.length();
        let says_parent = matches!(self.asks, Asks::Plain | Asks::Raw(..));
        let parent = self.parent.clone().filter(|_| says_parent);
        let all = [("x-request-id", self.id.clone()), ("traceparent", parent)];
        let grpc = (self.is_grpc && self.method == "POST").then(|| "application/grpc".to_owned());
        let all = all.into_iter().chain([("content-length", length), ("content-type", grpc)]);
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
    }
}

/// What they redirect with: some with the body, some without.
pub(crate) const REDIRECTS: [u16; 4] = [302, 303, 307, 308];

const METHODS: [&str; 7] = ["GET", "GET", "GET", "POST", "HEAD", "PUT", "BREW"];
const STATUSES: [u16; 9] = [200, 200, 200, 201, 204, 304, 418, 500, 503];

pub(crate) fn plan(random: &mut Random, seed: u64, deep: u32) -> Plan {
    use End::{Ends, Fails, Panics, Stalls, Trailers};
    let place = [Place::Some, Place::Any, Place::Nested, Place::Served];
    let raw = Asks::Raw(random.below(1_300), 1 + random.below(2), random.below(2) == 0);
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
    if it.body.sizes.is_empty() || random.below(2) == 0 {
        it.body = Parts::none();
    }
    if let Asks::Raw(..) = it.asks {
        it.version = random.of(&[Version::HTTP_11, Version::HTTP_11, Version::HTTP_10]);
        it.body.end = Ends;
        it.patience = it.patience.min(LIMIT);
    }
    if matches!(it.status, 204 | 304) {
        it.answer = Parts::none();
    }
    if it.answer.end == Stalls {
        // Whoever has more of a request to read is not told that its client has gone.
        it.body = Parts::none();
        it.patience = it.patience.min(LIMIT);
        if let Asks::Raw(sent, times, _) = &mut it.asks {
            (*sent, *times) = (1_000, 1);
        }
    }
    it
}

//! Bodies that do what a plan says.

use crate::plan::{End, Parts, Says};
use crate::world::{Over, Served};
use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body::{Body as _, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A body that does what is written.
pub(crate) struct Script {
    parts: Parts,
    /// The rest of a request, which it gives back before its own parts. Nobody locks it: clients' bodies have to be
    /// `Sync`.
    echoed: Option<Mutex<Body>>,
    next: usize,
    given: u64,
    pause: Option<Pin<Box<Sleep>>>,
    is_over: bool,
    served: Option<Arc<Served>>,
}

impl Script {
    /// What a client sends.
    pub(crate) fn of(parts: &Parts) -> Script {
        Script::begin(parts.clone(), None, None)
    }

    /// What answers a request, of which it may give something back.
    pub(crate) fn answer(parts: &Parts, served: Arc<Served>, request: Body) -> Script {
        let echoed = (parts.echoes > 0).then(|| request.into());
        Script::begin(parts.clone(), Some(served), echoed)
    }

    fn begin(parts: Parts, served: Option<Arc<Served>>, echoed: Option<Mutex<Body>>) -> Script {
        let (pause, is_over) = (None, false);
        let mut it = Script { parts, echoed, next: 0, given: 0, pause, is_over, served };
        let is_one = it.served.as_ref().is_some_and(|it| it.version != Version::HTTP_2);
        if is_one && it.is_end_stream() {
            // What it said is taken back.
            it.over(Over::Complete);
        }
        it.has_given(0);
        it
    }

    /// Over HTTP/1 nobody asks for more than it said.
    fn has_given(&mut self, size: usize) {
        self.given += size as u64;
        let is_two = self.served.as_ref().is_some_and(|it| it.version == Version::HTTP_2);
        if self.is_end_stream() || (self.is_whole() && !is_two) {
            self.ends();
        }
    }

    fn is_whole(&self) -> bool {
        self.parts.said().is_some_and(|said| self.given >= said)
    }

    /// Reads on in the request, as long as there is more of it and that is to be given back.
    fn poll_echoed(&mut self, context: &mut task::Context<'_>) -> Poll<Option<io::Result<usize>>> {
        let Some(echoed) = &mut self.echoed else { return Poll::Ready(None) };
        let frame = task::ready!(Pin::new(echoed.get_mut().unwrap()).poll_frame(context));
        self.parts.echoes -= 1;
        let read = match frame {
            Some(Ok(frame)) => Ok(frame.data_ref().map_or(0, Bytes::len)),
            // It may have nothing more to say, or not mind.
            Some(Err(_)) if self.parts.minds => Err(io::Error::other("on purpose")),
            None | Some(Err(_)) => {
                self.parts.echoes = 0;
                Ok(0)
            }
        };
        if self.parts.echoes == 0 {
            self.echoed = None;
        }
        let size = read.as_ref().map_or(0, |size| *size as u64);
        self.served.iter().for_each(|served| served.see(|seen| seen.read += size));
        Poll::Ready(Some(read))
    }

    fn ends(&mut self) {
        let is_short = self.parts.said().is_some_and(|said| self.given < said);
        self.over(if is_short { Over::TooShort } else { Over::Complete });
    }

    fn over(&mut self, over: Over) {
        self.is_over = true;
        self.served.iter().for_each(|served| served.over(over));
    }
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        this.served.iter().for_each(|served| served.look("in a body"));
        if this.parts.pauses {
            let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(2))));
            task::ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        match task::ready!(this.poll_echoed(context)) {
            Some(Ok(0)) | None => {}
            Some(Ok(size)) => {
                this.has_given(size);
                return Poll::Ready(Some(Ok(Frame::data(vec![b'x'; size].into()))));
            }
            Some(Err(error)) => {
                this.over(Over::Failed);
                return Poll::Ready(Some(Err(error)));
            }
        }
        if let Some(&size) = this.parts.sizes.get(this.next) {
            this.next += 1;
            this.has_given(size);
            return Poll::Ready(Some(Ok(Frame::data(vec![b'x'; size].into()))));
        }
        Poll::Ready(match this.parts.end {
            End::Stalls => return Poll::Pending,
            End::Ends => {
                this.ends();
                None
            }
            End::Trailers => {
                this.ends();
                let checksum = HeaderName::from_static("checksum");
                let trailers = HeaderMap::from_iter([(checksum, HeaderValue::from_static("17"))]);
                Some(Ok(Frame::trailers(trailers)))
            }
            End::Fails => {
                this.over(Over::Failed);
                Some(Err(io::Error::other("on purpose")))
            }
            End::Panics => {
                this.over(Over::Panicked);
                resume_unwind(Box::new("on purpose"));
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        let is_last = self.next == self.parts.sizes.len() && self.parts.end == End::Ends;
        is_last && self.echoed.is_none() && self.parts.says_end
    }

    fn size_hint(&self) -> SizeHint {
        match (self.parts.says, self.parts.said()) {
            (Says::Hint, Some(said)) => SizeHint::with_exact(said.saturating_sub(self.given)),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let (false, Some(served)) = (self.is_over, &self.served) {
            served.over(if self.is_whole() { Over::Complete } else { Over::Left });
            if served.method != Method::HEAD {
                served.look("when a body is dropped");
            }
        }
    }
}

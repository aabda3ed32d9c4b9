//! A page, written, packed and freed piece by piece as its reader takes it.

use super::Busy;
use crate::expose::openmetrics::Chunks;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Packed bytes that are sent at once.
const PACKED: usize = 16 * 1024;

/// What an answer holds: what is written already, and what is written when it is asked for.
pub(super) struct Content {
    pub(super) pieces: VecDeque<Bytes>,
    pub(super) rest: Option<Box<Chunks>>,
}

impl From<VecDeque<Bytes>> for Content {
    fn from(mut pieces: VecDeque<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Content { pieces, rest: None }
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        VecDeque::from([Bytes::from(text)]).into()
    }
}

impl Content {
    fn next(&mut self) -> Option<Bytes> {
        let next = loop {
            match self.pieces.pop_front() {
                // An empty piece would be the end of a body in pieces.
                Some(piece) if piece.is_empty() => {}
                Some(piece) => break Some(piece),
                None => break self.rest.as_mut().and_then(|rest| rest.next()).map(Bytes::from),
            }
        };
        if next.is_none() {
            self.rest = None;
        }
        next
    }
}

/// A page that is being read.
pub(super) struct Page {
    content: Content,
    /// Until the last packed bytes are taken.
    packing: Option<GzEncoder<Vec<u8>>>,
    _busy: Busy,
}

impl Page {
    pub(super) fn new(content: Content, packed: bool, busy: Busy) -> Page {
        // The quickest: a page is as repetitive as can be.
        let encoder = || GzEncoder::new(Vec::with_capacity(PACKED), Compression::fast());
        Page { content, packing: packed.then(encoder), _busy: busy }
    }

    fn next(&mut self) -> Option<Bytes> {
        let Some(mut encoder) = self.packing.take() else { return self.content.next() };
        while let Some(piece) = self.content.next() {
            // Memory takes all.
            let _ = encoder.write_all(&piece);
            if encoder.get_ref().len() >= PACKED {
                let packed = std::mem::replace(encoder.get_mut(), Vec::with_capacity(PACKED));
                self.packing = Some(encoder);
                return Some(packed.into());
            }
        }
        encoder.finish().ok().map(Bytes::from)
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.packing.is_none() && self.content.pieces.is_empty() && self.content.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.packing.is_some() {
            return SizeHint::new();
        }
        let there = self.content.pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut hint = SizeHint::with_exact(there);
        if self.content.rest.is_some() {
            hint = SizeHint::new();
            hint.set_lower(there);
        }
        hint
    }
}

//! The body of an answer, which counts until its client has taken it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::connections::{Seat, Untaken};

/// Maximum size of a part of an answer, in bytes. HTTP/1.1 copies each part before it sends it.
const PART: usize = 16 << 10;

/// It counts as long as one of its parts exists. HTTP/2 holds the parts until the client takes them.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    /// The rest of the last frame.
    rest: Bytes,
    untaken: Arc<Untaken>,
}

struct Part {
    data: Bytes,
    _untaken: Arc<Untaken>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Counted {
    pub(super) fn new(body: Body, seat: &Arc<Seat>) -> Self {
        let bytes = body.size_hint().lower();
        let untaken = seat.untaken(usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { body, rest: Bytes::new(), untaken: Arc::new(untaken) }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PART);
        let part = Part { data: self.rest.split_to(length), _untaken: Arc::clone(&self.untaken) };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

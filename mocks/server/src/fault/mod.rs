//! Faults of connections: what a plan says of the wire, carried out.
//!
//! HTTP/1.1 is spoilt on the socket itself: the connection is taken away from hyper, bytes are written as they should
//! not be, and it is closed or reset. HTTP/2 carries other requests too, so only the one stream is reset, and bodies
//! are spoilt inside of it.

mod wire;

use std::num::NonZeroU64;
use std::time::Duration;

use api_mock_engine::{ConnectionFault, FaultPlan};
use api_mock_recorder::{Pace, SlowBody, TOO_LONG_BYTES};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Response, Version};
use http_body_util::{BodyExt, Limited};

pub(crate) use wire::{Sabotage, Socket, carry_out};

use crate::reply::{Reply, ReplyBody};
use crate::watch::Activity;

/// Random bytes in place of an answer.
const GARBAGE_BYTES: usize = 256;

/// What is left to do when an answer is sent. Travels with it as an extension.
#[derive(Clone, Debug)]
pub(crate) struct WireFault {
    pub(crate) connection: Option<ConnectionFault>,
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    pub(crate) seed: u64,
}

impl WireFault {
    /// What a plan leaves for the wire.
    pub(crate) fn of(plan: &FaultPlan) -> Option<WireFault> {
        let connection = plan.before.connection.or(plan.after.connection);
        let bytes_per_second = plan.after.bytes_per_second.or(plan.before.bytes_per_second);
        let is_any = connection.is_some() || bytes_per_second.is_some();
        is_any.then_some(WireFault { connection, bytes_per_second, seed: plan.seed })
    }
}

/// There is no answer, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut by an injected fault")]
pub(crate) struct Cut;

/// What bounds the carrying out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How long a slow body may take; the rest is sent at once then.
    pub(crate) longest: Duration,
    /// How much of an answer is held to be spoilt.
    pub(crate) body_bytes: usize,
}

/// Sends an answer as its fault wants it: spoilt, on the socket behind hyper's back, or not at all.
pub(crate) async fn begin(
    fault: WireFault,
    reply: Reply,
    is_head: bool,
    version: Version,
    activity: &Activity,
    bounds: Bounds,
) -> Result<Reply, Cut> {
    let (mut head, body) = reply.into_parts();
    let bytes = match body {
        ReplyBody::Bytes(bytes) => bytes.unwrap_or_default(),
        body => Limited::new(body, bounds.body_bytes).collect().await.map_err(|_| Cut)?.to_bytes(),
    };
    let pace = fault.bytes_per_second.map(|rate| Pace::new(rate, bounds.longest));
    let length = match head.headers.get(CONTENT_LENGTH).and_then(|said| said.to_str().ok()?.parse().ok()) {
        Some(said) if is_head => said,
        _ => bytes.len() as u64,
    };
    let Some(connection) = fault.connection else {
        return Ok(Response::from_parts(head, ReplyBody::Slow(Box::new(SlowBody::whole(bytes, pace)))));
    };
    let mut rng = Noise(fault.seed);
    let spoilt = Spoilt::new(connection, bytes, length, &mut rng);
    if version != Version::HTTP_2 {
        head.headers.remove(CONNECTION);
        head.headers.remove(TRANSFER_ENCODING);
        activity.sabotage(Sabotage::new(&head, spoilt, pace));
        return Err(Cut);
    }
    match spoilt {
        Spoilt { says: Says::Nothing, body, .. } if body.is_empty() => Err(Cut),
        Spoilt { says, body, is_reset: _ } => {
            if let Says::Length(length) = says {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            } else {
                head.headers.remove(CONTENT_LENGTH);
            }
            let is_whole = matches!(connection, ConnectionFault::WrongContentLength { .. });
            let body = if is_whole { SlowBody::whole(body, pace) } else { SlowBody::cut(body, pace) };
            Ok(Response::from_parts(head, ReplyBody::Slow(Box::new(body))))
        }
    }
}

/// An answer as it goes out.
struct Spoilt {
    says: Says,
    body: Bytes,
    /// Otherwise the connection is closed as after a good answer.
    is_reset: bool,
}

/// What the head says of the body.
enum Says {
    /// There is no head.
    Nothing,
    Length(u64),
    Chunked,
}

impl Spoilt {
    fn new(connection: ConnectionFault, bytes: Bytes, length: u64, noise: &mut Noise) -> Spoilt {
        let first = |count: u64| bytes.slice(..usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len()));
        let closed = |says, body| Spoilt { says, body, is_reset: false };
        match connection {
            ConnectionFault::Reset { after_bytes: None } => {
                Spoilt { says: Says::Nothing, body: Bytes::new(), is_reset: true }
            }
            ConnectionFault::Reset { after_bytes: Some(count) } => {
                Spoilt { says: Says::Length(length), body: first(count), is_reset: true }
            }
            ConnectionFault::Empty => closed(Says::Nothing, Bytes::new()),
            ConnectionFault::Truncated { after_bytes } => {
                closed(Says::Length(length), first(after_bytes.unwrap_or(bytes.len() as u64 / 2)))
            }
            ConnectionFault::Garbage => closed(Says::Nothing, noise.bytes(GARBAGE_BYTES)),
            ConnectionFault::MalformedChunk => closed(Says::Chunked, noise.bytes(GARBAGE_BYTES)),
            ConnectionFault::WrongContentLength { content_length } => {
                closed(Says::Length(content_length.unwrap_or(length + TOO_LONG_BYTES)), bytes)
            }
        }
    }
}

/// Random bytes that a seed decides (SplitMix64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        bytes.truncate(count);
        // Nobody shall take them for an answer, or for a size in hexadecimal digits.
        if let Some(first) = bytes.first_mut() {
            *first |= 0x80;
        }
        bytes.into()
    }
}

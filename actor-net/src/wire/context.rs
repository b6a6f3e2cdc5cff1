//! The context block: what travels with a message besides its payload.
//!
//! The deadline goes as the time that *remains*, so that no two clocks need to agree; the sender takes off
//! what the message waited at its side. Everything here is a claim of the sender: capped, never a reason to
//! allow something. `README.md` has the bytes.

use std::time::{Duration, Instant};

use actor_core::{
    BAGGAGE_BYTES_MAX, Baggage, CancelToken, Context, SpanId, TRACESTATE_BYTES_MAX, TraceContext,
    TraceFlags, TraceId,
};

use super::codec::{Decoded, Flaw, Reader, put_len, put_text, put_u64, put_u128, put_varint};

/// Hops of a call chain, for finding cycles of asks.
pub(crate) const CHAIN_MAX: usize = 32;

const TRACE: u8 = 1;
const TRACESTATE: u8 = 2;
const REMAINING: u8 = 4;
const SCOPE: u8 = 8;
const BAGGAGE: u8 = 16;
const CHAIN: u8 = 32;

/// The ids of a span and its flags, as W3C Trace Context has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParts {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    pub(crate) flags: u8,
}

/// The context of a message on the wire; empty parts are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContextBlock {
    pub(crate) trace: Option<TraceParts>,
    /// On its way out, filled in when the message is written; see `deadline` of what holds the block.
    pub(crate) remaining: Option<Duration>,
    /// The scope that the sender cancels it by; 0 is none.
    pub(crate) scope: u64,
    /// What few messages have. Apart, so that the others are short.
    pub(crate) more: Option<Box<More>>,
}

/// The parts of a context that have any length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct More {
    pub(crate) tracestate: String,
    /// A `baggage` header.
    pub(crate) baggage: String,
    /// The askers that wait for this, eldest first, as numbers of the floor above.
    pub(crate) chain: Vec<u64>,
}

/// What `more` is where there is none.
static NOTHING: More = More {
    tracestate: String::new(),
    baggage: String::new(),
    chain: Vec::new(),
};

impl ContextBlock {
    /// Trace and baggage of `context`. Its deadline is given to the message, its token to the floor that
    /// numbers scopes.
    pub(crate) fn of(context: &Context) -> Self {
        let trace = context.trace();
        let tracestate = trace.and_then(TraceContext::tracestate).unwrap_or_default();
        let baggage = context.baggage();
        let mut block = Self {
            trace: trace.map(|trace| TraceParts {
                trace: trace.trace_id().as_u128(),
                span: trace.span_id().as_u64(),
                flags: trace.flags().bits(),
            }),
            ..Self::default()
        };
        if !tracestate.is_empty() || !baggage.is_empty() {
            block.more_mut().tracestate = tracestate.to_owned();
            block.more_mut().baggage = baggage.to_string();
        }
        block
    }

    /// The parts that have any length.
    pub(crate) fn more(&self) -> &More {
        self.more.as_deref().unwrap_or(&NOTHING)
    }

    /// The same, to be filled in.
    pub(crate) fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The context for what this came with. What does not parse is left out, as the recommendations want:
    /// a bad trace is no reason to lose a message.
    pub(crate) fn to_context(
        &self,
        deadline: Option<Instant>,
        cancel: Option<CancelToken>,
    ) -> Context {
        let mut trace = None;
        if let Some(TraceParts {
            trace: id,
            span,
            flags,
        }) = self.trace
            && let (Some(id), Some(span)) = (TraceId::new(id), SpanId::new(span))
        {
            let parts = TraceContext::new(id, span, TraceFlags::from_bits(flags));
            let with_state = match self.more().tracestate.as_str() {
                "" => None,
                state => parts.clone().with_tracestate(state).ok(),
            };
            trace = Some(with_state.unwrap_or(parts));
        }
        let baggage = match self.more().baggage.as_str() {
            "" => Baggage::empty(),
            header => Baggage::parse(header).unwrap_or_default(),
        };
        Context::of_parts(deadline, cancel, trace, baggage)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.presence(self.remaining.is_some()) == 0
    }

    fn presence(&self, remaining: bool) -> u8 {
        let more = self.more();
        let parts = [
            (self.trace.is_some(), TRACE),
            (!more.tracestate.is_empty(), TRACESTATE),
            (remaining, REMAINING),
            (self.scope != 0, SCOPE),
            (!more.baggage.is_empty(), BAGGAGE),
            (!more.chain.is_empty(), CHAIN),
        ];
        parts
            .iter()
            .filter(|(present, _)| *present)
            .fold(0, |bits, (_, bit)| bits | bit)
    }

    /// No encoding is longer.
    pub(crate) fn size_bound(&self) -> usize {
        let more = self.more();
        let chain = more.chain.len().saturating_mul(8);
        more.tracestate
            .len()
            .saturating_add(more.baggage.len())
            .saturating_add(chain)
            .saturating_add(64)
    }

    pub(crate) fn encode(&self, remaining: Option<Duration>, out: &mut Vec<u8>) {
        out.push(self.presence(remaining.is_some()));
        if let Some(TraceParts { trace, span, flags }) = self.trace {
            put_u128(out, trace);
            put_u64(out, span);
            out.push(flags);
        }
        let more = self.more();
        if !more.tracestate.is_empty() {
            put_text(out, &more.tracestate);
        }
        if let Some(remaining) = remaining {
            put_varint(
                out,
                u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX),
            );
        }
        if self.scope != 0 {
            put_varint(out, self.scope);
        }
        if !more.baggage.is_empty() {
            put_text(out, &more.baggage);
        }
        if !more.chain.is_empty() {
            put_len(out, more.chain.len());
            for hop in &more.chain {
                put_u64(out, *hop);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let start = reader.at();
        let presence = reader.u8("context parts")?;
        let has = |bit| presence & bit != 0;
        if presence & !(TRACE | TRACESTATE | REMAINING | SCOPE | BAGGAGE | CHAIN) != 0 {
            let value = presence.into();
            return reader.flaw("context parts", start, Flaw::Unknown { value });
        }
        let mut block = Self::default();
        if has(TRACE) {
            block.trace = Some(TraceParts {
                trace: reader.u128("trace id")?,
                span: reader.u64("span id")?,
                flags: reader.u8("trace flags")?,
            });
        }
        if has(TRACESTATE) {
            let state = reader.text("tracestate", TRACESTATE_BYTES_MAX)?;
            if !state.is_empty() {
                block.more_mut().tracestate = state.to_owned();
            }
        }
        if has(REMAINING) {
            block.remaining = Some(Duration::from_micros(reader.varint("deadline")?));
        }
        if has(SCOPE) {
            block.scope = reader.varint("cancel scope")?;
        }
        if has(BAGGAGE) {
            let baggage = reader.text("baggage", BAGGAGE_BYTES_MAX)?;
            if !baggage.is_empty() {
                block.more_mut().baggage = baggage.to_owned();
            }
        }
        if has(CHAIN) {
            let hops = reader.count("call chain", CHAIN_MAX)?;
            for _ in 0..hops {
                let hop = reader.u64("call chain")?;
                block.more_mut().chain.push(hop);
            }
        }
        Ok(block)
    }
}

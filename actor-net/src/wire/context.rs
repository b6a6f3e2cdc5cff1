//! The context block: what travels with a message besides its payload.
//!
//! The deadline goes as the time that *remains*, so that no two clocks need to agree; the sender takes off
//! what the message waited at its side. Everything here is a claim of the sender: capped, never a reason to
//! allow something. `README.md` has the bytes.

use std::time::{Duration, Instant};

use actor_core::{
    BAGGAGE_BYTES_MAX, Baggage, Context, SpanId, TRACESTATE_BYTES_MAX, TraceContext, TraceFlags,
    TraceId,
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
    pub(crate) tracestate: String,
    /// On its way out, filled in when the message is written; see `deadline` of what holds the block.
    pub(crate) remaining: Option<Duration>,
    /// The scope that the sender cancels it by; 0 is none.
    pub(crate) scope: u64,
    /// A `baggage` header.
    pub(crate) baggage: String,
    /// The askers that wait for this, eldest first, as numbers of the floor above.
    pub(crate) chain: Vec<u64>,
}

impl ContextBlock {
    /// Trace and baggage of `context`. Its deadline is given to the message, its token to the floor that
    /// numbers scopes.
    pub(crate) fn of(context: &Context) -> Self {
        let trace = context.trace();
        Self {
            trace: trace.map(|trace| TraceParts {
                trace: trace.trace_id().as_u128(),
                span: trace.span_id().as_u64(),
                flags: trace.flags().bits(),
            }),
            tracestate: trace
                .and_then(TraceContext::tracestate)
                .unwrap_or_default()
                .to_owned(),
            baggage: context.baggage().to_string(),
            ..Self::default()
        }
    }

    /// The context for what this came with. What does not parse is left out, as the recommendations want:
    /// a bad trace is no reason to lose a message.
    pub(crate) fn to_context(&self, deadline: Option<Instant>) -> Context {
        let mut context = Context::empty();
        if let Some(at) = deadline {
            context = context.with_deadline(at);
        }
        if let Some(TraceParts { trace, span, flags }) = self.trace
            && let (Some(trace), Some(span)) = (TraceId::new(trace), SpanId::new(span))
        {
            let trace = TraceContext::new(trace, span, TraceFlags::from_bits(flags));
            let with_state = match self.tracestate.as_str() {
                "" => None,
                state => trace.clone().with_tracestate(state).ok(),
            };
            context = context.with_trace(with_state.unwrap_or(trace));
        }
        if !self.baggage.is_empty()
            && let Ok(baggage) = Baggage::parse(&self.baggage)
        {
            context = context.with_baggage(baggage);
        }
        context
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.presence(self.remaining.is_some()) == 0
    }

    fn presence(&self, remaining: bool) -> u8 {
        let parts = [
            (self.trace.is_some(), TRACE),
            (!self.tracestate.is_empty(), TRACESTATE),
            (remaining, REMAINING),
            (self.scope != 0, SCOPE),
            (!self.baggage.is_empty(), BAGGAGE),
            (!self.chain.is_empty(), CHAIN),
        ];
        parts
            .iter()
            .filter(|(present, _)| *present)
            .fold(0, |bits, (_, bit)| bits | bit)
    }

    /// No encoding is longer.
    pub(crate) fn size_bound(&self) -> usize {
        let chain = self.chain.len().saturating_mul(8);
        self.tracestate
            .len()
            .saturating_add(self.baggage.len())
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
        if !self.tracestate.is_empty() {
            put_text(out, &self.tracestate);
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
        if !self.baggage.is_empty() {
            put_text(out, &self.baggage);
        }
        if !self.chain.is_empty() {
            put_len(out, self.chain.len());
            for hop in &self.chain {
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
            block.tracestate = reader.text("tracestate", TRACESTATE_BYTES_MAX)?.to_owned();
        }
        if has(REMAINING) {
            block.remaining = Some(Duration::from_micros(reader.varint("deadline")?));
        }
        if has(SCOPE) {
            block.scope = reader.varint("cancel scope")?;
        }
        if has(BAGGAGE) {
            block.baggage = reader.text("baggage", BAGGAGE_BYTES_MAX)?.to_owned();
        }
        if has(CHAIN) {
            let hops = reader.count("call chain", CHAIN_MAX)?;
            for _ in 0..hops {
                block.chain.push(reader.u64("call chain")?);
            }
        }
        Ok(block)
    }
}

//! Three headers: `traceparent`, `tracestate`, `baggage`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::context::{BAGGAGE_BYTES_MAX, Baggage, Context};
use crate::trace::{TRACESTATE_BYTES_MAX, TraceContext};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The context that a request brings: its trace, whose span is the caller's, and its baggage. Empty without any.
///
/// A `traceparent` that makes no sense or is there twice is none, and then `tracestate` is left out as well.
/// A `tracestate` or `baggage` that makes no sense, or passes the limits
/// ([`TRACESTATE_BYTES_MAX`](crate::TRACESTATE_BYTES_MAX), [`BAGGAGE_BYTES_MAX`](crate::BAGGAGE_BYTES_MAX)),
/// is left out as a whole.
///
/// # Examples
///
/// ```
/// use actor_core::http::extract;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?);
/// let context = extract(&headers);
/// assert!(context.trace().is_some_and(|trace| trace.is_sampled()));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn extract(headers: &HeaderMap) -> Context {
    let mut context = Context::empty();
    if let Some(trace) = trace(headers) {
        context = context.with_trace(trace);
    }
    if let Some(text) = joined(headers, &BAGGAGE, BAGGAGE_BYTES_MAX)
        && let Ok(baggage) = Baggage::parse(&text)
        && !baggage.is_empty()
    {
        context = context.with_baggage(baggage);
    }
    context
}

fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let trace = TraceContext::parse_traceparent(value.trim()).ok()?;
    let Some(state) = joined(headers, &TRACESTATE, TRACESTATE_BYTES_MAX) else {
        return Some(trace);
    };
    Some(trace.clone().with_tracestate(&state).unwrap_or(trace))
}

/// Several headers of a name are one list. `None`: there is none, or it is too long to be looked at.
fn joined(headers: &HeaderMap, name: &HeaderName, most: usize) -> Option<String> {
    let mut all = String::new();
    for value in headers.get_all(name) {
        let value = value.to_str().ok()?;
        if !all.is_empty() {
            all.push(',');
        }
        // White space and empty entries do not count, so a little more than the limit may be allowed.
        if all.len() + value.len() > 2 * most {
            return None;
        }
        all.push_str(value);
    }
    (!all.is_empty()).then_some(all)
}

/// Puts a context's trace and baggage into the headers of an outgoing request, in place of those that are there.
///
/// The callee's span becomes a child of the context's.
///
/// # Examples
///
/// ```
/// use actor_core::http::inject;
/// use actor_core::{Context, TraceContext};
///
/// let context = Context::empty().with_trace(TraceContext::new_root(true));
/// let mut headers = http::HeaderMap::new();
/// inject(&context, &mut headers);
/// assert!(headers["traceparent"].to_str().unwrap().ends_with("-03"));
/// ```
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    for name in [TRACEPARENT, TRACESTATE, BAGGAGE] {
        headers.remove(name);
    }
    // What these print is ASCII, so none is refused.
    if let Some(trace) = context.trace() {
        put(headers, TRACEPARENT, &trace.to_traceparent().to_string());
        if let Some(state) = trace.tracestate() {
            put(headers, TRACESTATE, state);
        }
    }
    let baggage = context.baggage();
    if !baggage.is_empty() {
        put(headers, BAGGAGE, &baggage.to_string());
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// As [`inject`], of the context in force: in a handler, that of the message being handled.
///
/// With `reqwest`: `let mut headers = HeaderMap::new(); inject_current(&mut headers);
/// client.get(url).headers(headers)`. With `tonic`: `MetadataMap::from_headers(headers)`.
pub fn inject_current(headers: &mut HeaderMap) {
    inject(&Context::current(), headers);
}

#[cfg(test)]
mod tests;

//! HTTP requests and the contexts of messages (feature `http`): a request's trace, baggage and deadline go on in
//! what it causes, and a handler's go out with the requests it makes.
//!
//! - [`extract`], [`inject`]: `traceparent`, `tracestate` and `baggage` as headers, for any client or server that
//!   has [`http::HeaderMap`]: axum, hyper, reqwest; tonic by `MetadataMap::from_headers`.
//! - [`RequestLayer`]: a `tower` layer for servers: axum, or any other that stands on `tower`.
//!
//! What others send is bounded and never an error: a header that makes no sense is left out, as W3C
//! Trace Context wants it.

mod headers;
mod layer;

pub use headers::{extract, inject, inject_current};
pub use layer::{RequestFuture, RequestLayer, RequestService};

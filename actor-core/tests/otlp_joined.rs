//! Spans of a user's own `tracing` spans, by `tracing-opentelemetry`: they join the trace of the message that is being
//! handled, and the decision whether it is recorded holds for them too. The subscriber is the process's, so this is
//! the only test of its binary.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{SpanKind, TraceContext, TraceId, TracingOptions};
use common::*;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tracing::Instrument;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// Keeps what it is given.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

struct Shop;
impl Actor for Shop {}
struct Order;
impl Message for Order {
    type Reply = ();
}
impl Handler<Order> for Shop {
    async fn handle(&mut self, _: Order, _cx: &mut ActorContext<Self>) {
        tracing::info_span!("price").in_scope(|| {});
        async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tracing::info_span!("after the await").in_scope(|| {});
        }
        .instrument(tracing::info_span!("store"))
        .await;
    }
}

#[test]
fn spans_of_tracing_join_the_trace_of_the_message_and_its_decision() {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        // As the default: the parent's decision holds.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer);
    tracing::subscriber::set_global_default(subscriber).expect("the only test here");

    let system = ActorSystem::builder()
        .tracing(TracingOptions::new())
        .build()
        .unwrap();
    let shop = system.spawn(Shop).unwrap();
    let ask = |sampled: bool| -> TraceId {
        let trace = TraceContext::new_root(sampled);
        let context = Context::empty().with_trace(trace.clone());
        shop.ask(Order).context(context).blocking().unwrap();
        trace.trace_id()
    };
    let recorded = ask(true);
    ask(false);

    let trace = system.trace(recorded).expect("kept");
    let handled = trace
        .spans
        .iter()
        .find(|span| span.kind == SpanKind::Handle);
    let handled = handled.expect("a span").span_id().as_u64().to_be_bytes();
    finish(system);
    provider.shutdown().unwrap();
    let spans = kept.0.lock().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names.len(), 3, "of the recorded one only: {names:?}");
    let named = |name: &str| spans.iter().find(|span| span.name == name).expect(name);
    for span in &*spans {
        let id = span.span_context.trace_id().to_bytes();
        assert_eq!(id, recorded.as_u128().to_be_bytes(), "{}", span.name);
    }
    assert_eq!(named("price").parent_span_id.to_bytes(), handled);
    let store = named("store");
    assert_eq!(store.parent_span_id.to_bytes(), handled);
    let after = named("after the await");
    assert_eq!(after.parent_span_id, store.span_context.span_id());
}

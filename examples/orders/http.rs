//! HTTP in front of the actors.
//!
//! Each request runs in a context of its own: a deadline (header `x-deadline-ms`, otherwise 250 ms) and,
//! if it brings a W3C `traceparent`, its trace. Every actor that takes part inherits both. A client that
//! goes away drops the request's future, and with it whatever has not begun.

use std::time::Duration;

use actor_core::TraceContext;
use actor_core::prelude::*;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::actors::{
    Order, OrderApi, OrderError, Orders, OrdersApi, PaymentError, PlaceError, View,
};
use crate::order::Placed;

/// The deadline of requests that do not name one.
const DEADLINE: Duration = Duration::from_millis(250);
const DEADLINE_MS_MAX: u64 = 60_000;

/// What every request needs.
#[derive(Clone, Copy)]
pub(crate) struct App {
    pub(crate) system: SystemRef,
    pub(crate) orders: ActorRef<Orders>,
}

/// The routes of the service.
pub(crate) fn routes(app: App) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(look).delete(remove))
        .route("/orders/{id}/pay", post(pay))
        .route("/orders/{id}/ship", post(ship))
        .route("/orders/{id}/poison", post(poison))
        .route("/stats", get(stats))
        .route("/healthz", get(healthz))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no such path; try /stats") })
        .with_state(app)
}

type Answer<T = Json<View>> = Result<T, Problem>;

async fn place(
    State(app): State<App>,
    headers: HeaderMap,
    placed: Result<Json<Placed>, JsonRejection>,
) -> Answer<(StatusCode, Json<View>)> {
    let Json(placed) = placed.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    placed
        .check()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    let work = async {
        let order = app.orders.place(placed).await??;
        Ok((StatusCode::CREATED, Json(order.look().await?)))
    };
    context(&headers)?.scope(work).await
}

async fn look(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    context(&headers)?
        .scope(async { Ok(Json(app.find(id).await?.look().await?)) })
        .await
}

async fn pay(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    context(&headers)?
        .scope(async { Ok(Json(app.find(id).await?.pay().await??)) })
        .await
}

async fn ship(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    context(&headers)?
        .scope(async { Ok(Json(app.find(id).await?.ship().await??)) })
        .await
}

async fn poison(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let work = async {
        app.find(id).await?.poison().await?;
        Ok(StatusCode::NO_CONTENT)
    };
    context(&headers)?.scope(work).await
}

async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let removed = context(&headers)?
        .scope(app.orders.remove(id.clone()))
        .await?;
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::unknown(&id))
    }
}

async fn stats(State(app): State<App>) -> String {
    format!("{}\n", app.system.stats())
}

/// Healthy while it takes work: a load balancer sends none to a service that shuts down.
async fn healthz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.system.is_shutting_down() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

impl App {
    async fn find(&self, id: String) -> Result<ActorRef<Order>, Problem> {
        let order = self.orders.find(id.clone()).await?;
        order.ok_or_else(|| Problem::unknown(&id))
    }
}

/// The context that a request asks for.
fn context(headers: &HeaderMap) -> Result<Context, Problem> {
    let deadline = match headers.get("x-deadline-ms") {
        None => DEADLINE,
        Some(value) => {
            let ms = value
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok());
            let ms = ms
                .filter(|ms| (1..=DEADLINE_MS_MAX).contains(ms))
                .ok_or_else(|| {
                    Problem::new(
                        StatusCode::BAD_REQUEST,
                        format!(
                            "x-deadline-ms {value:?} is not a number of 1 to {DEADLINE_MS_MAX}"
                        ),
                    )
                })?;
            Duration::from_millis(ms)
        }
    };
    let context = Context::empty().with_timeout(deadline);
    // W3C: a header that cannot be read is as good as none.
    let trace = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| TraceContext::parse_traceparent(value).ok());
    Ok(match trace {
        Some(trace) => context.with_trace(trace.child()),
        None => context,
    })
}

/// An answer that is not the one hoped for: a status and the words of the typed error.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    words: String,
}

impl Problem {
    fn new(status: StatusCode, words: impl ToString) -> Self {
        Self {
            status,
            words: words.to_string(),
        }
    }

    fn unknown(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format_args!("there is no order {id:?}"),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.words }))).into_response()
    }
}

impl<M> From<AskError<M>> for Problem {
    fn from(error: AskError<M>) -> Self {
        let status = match &error {
            AskError::Full { .. } => StatusCode::TOO_MANY_REQUESTS,
            AskError::Overloaded { .. } | AskError::Cancelled { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // Removed between the look into the book and the message, or the system shuts down.
            AskError::Dead { .. } => StatusCode::SERVICE_UNAVAILABLE,
            AskError::Expired { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        let status = match error {
            PlaceError::Duplicate(_) => StatusCode::CONFLICT,
            PlaceError::Spawn(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Conflict { .. } => Self::new(StatusCode::CONFLICT, error),
            OrderError::Payment(PaymentError::Late(_)) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, error)
            }
            OrderError::Payment(PaymentError::Bank(_)) => Self::new(StatusCode::BAD_GATEWAY, error),
            OrderError::Desk(error) => error.into(),
        }
    }
}

//! From a request to its view: who may, which path, which method.

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Wrong, json};
use super::api::{ActionDone, Session};
use super::gate::{Caller, WRONG_TOKEN, is_cross_site, is_meant};
use super::query::Query;
use super::{Shared, actions, metrics, page, views};

/// The bytes of a body.
const BODY_BYTES: usize = 16 * 1024;

/// `POST /login`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

pub(super) async fn route(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Wrong> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let query = head.uri.query();
    // An orchestrator has no token and calls by whatever name; there is nothing to read in it.
    match path {
        "/healthz" => return get(&head.method).map(|()| views::healthz(shared)),
        "/readyz" => return get(&head.method).map(|()| views::readyz(shared)),
        _ => {}
    }
    let caller = shared.gate.caller(&head.headers);
    // Who shows the token is no page that was made to call here.
    if caller != Caller::Token && !shared.gate.is_ours(&head.headers) {
        return Err(Wrong::new(
            StatusCode::FORBIDDEN,
            "the Host of this request is not the console's",
            "call it by address or as localhost, or name the host with ConsoleBuilder::host",
        ));
    }
    if head.method == Method::GET || head.method == Method::HEAD {
        // The page itself has nothing to tell; it asks for the token.
        if let Some(file) = page::file(path, &head.headers) {
            return Ok(file);
        }
    }
    if (path.starts_with("/api/") || path.starts_with("/debug/")) && is_cross_site(&head.headers) {
        return Err(Wrong::new(
            StatusCode::FORBIDDEN,
            "another site's page asks",
            "open the console's own page",
        ));
    }
    match path {
        "/api/v1/session" => {
            get(&head.method)?;
            return Ok(json(&Session {
                token_required: shared.gate.needs_token(),
                authenticated: caller != Caller::Stranger,
                actions_allowed: shared.allow_actions,
            }));
        }
        "/login" => {
            post(&head.method)?;
            return login(shared, read(&head.headers, body).await?).await;
        }
        "/logout" => {
            post(&head.method)?;
            let mut answer = json(&done("logged out"));
            let cookie = shared.gate.close_session(&head.headers);
            answer.headers_mut().insert(SET_COOKIE, cookie);
            return Ok(answer);
        }
        _ => {}
    }
    if caller == Caller::Stranger {
        // Only a try costs a guesser time.
        if head.headers.contains_key(hyper::header::AUTHORIZATION) {
            tokio::time::sleep(WRONG_TOKEN).await;
        }
        return Err(Wrong::new(
            StatusCode::UNAUTHORIZED,
            "a token is needed",
            "send Authorization: Bearer TOKEN, or log in on the page",
        ));
    }
    if let Some(action) = path.strip_prefix("/api/v1/actions/") {
        post(&head.method)?;
        may_act(shared, &head.headers)?;
        let body = bytes(&head.headers, body).await?;
        return actions::act(shared, action, &body)
            .await
            .map(|done| json(&done));
    }
    let known = ["/metrics", "/debug/schedule"].contains(&path) || path.starts_with("/api/v1/");
    if known {
        get(&head.method)?;
    }
    look(shared, path, query).await
}

/// What can be looked at.
async fn look(shared: &Shared, path: &str, query: Option<&str>) -> Result<Answer, Wrong> {
    let none = || Query::read(query, &[]);
    match path {
        "/metrics" => {
            none()?;
            metrics::answer(shared).await
        }
        "/debug/schedule" => views::schedule(shared, &Query::read(query, &["seconds"])?).await,
        "/api/v1/overview" => {
            none()?;
            views::overview(shared).await
        }
        "/api/v1/history" => views::history(shared, &Query::read(query, &["seconds"])?),
        "/api/v1/machine" => {
            none()?;
            views::machine(shared).await
        }
        "/api/v1/actors" => {
            const KNOWN: &[&str] = &["parent", "q", "type", "sort", "page", "limit"];
            views::actors(shared, &Query::read(query, KNOWN)?).await
        }
        "/api/v1/types" => views::types(shared, &Query::read(query, &["sort", "limit"])?).await,
        "/api/v1/traces" => {
            views::traces(shared, &Query::read(query, &["kind", "q", "limit"])?).await
        }
        "/api/v1/asks" => {
            none()?;
            views::asks(shared).await
        }
        "/api/v1/dead-letters" => {
            views::dead_letters(shared, &Query::read(query, &["reason", "q", "limit"])?)
        }
        "/api/v1/failures" => views::failures(shared, &Query::read(query, &["q", "limit"])?),
        "/api/v1/stalls" => {
            none()?;
            Ok(views::stalls(shared))
        }
        "/api/v1/leaks" => {
            none()?;
            views::leaks(shared).await
        }
        "/api/v1/cluster" => {
            none()?;
            views::cluster(shared).await
        }
        "/api/v1/shards" => {
            none()?;
            views::shards(shared).await
        }
        _ => {
            if let Some(id) = path.strip_prefix("/api/v1/actors/") {
                none()?;
                return views::actor(shared, id).await;
            }
            if let Some(id) = path.strip_prefix("/api/v1/traces/") {
                none()?;
                return views::trace(shared, id).await;
            }
            Err(Wrong::missing(
                format!("there is nothing at {path:?}"),
                "the page is at /, the paths are in docs/console-api.md",
            ))
        }
    }
}

async fn login(shared: &Shared, login: Login) -> Result<Answer, Wrong> {
    if shared.gate.needs_token() && !shared.gate.is_token(&login.token) {
        tokio::time::sleep(WRONG_TOKEN).await;
        return Err(Wrong::new(
            StatusCode::UNAUTHORIZED,
            "the token is wrong",
            "it is the one that the program was started with",
        ));
    }
    let cookie = shared.gate.open_session().ok_or_else(|| {
        Wrong::unavailable(
            "no random numbers for a session",
            "send the token with each request",
        )
    })?;
    let mut answer = json(&done("logged in"));
    answer.headers_mut().insert(SET_COOKIE, cookie);
    Ok(answer)
}

fn done(detail: &str) -> ActionDone {
    ActionDone {
        done: true,
        detail: detail.to_owned(),
    }
}

fn may_act(shared: &Shared, headers: &HeaderMap) -> Result<(), Wrong> {
    if !shared.allow_actions {
        return Err(Wrong::new(
            StatusCode::FORBIDDEN,
            "this console only looks",
            "start it with ConsoleBuilder::allow_actions(true)",
        ));
    }
    if !is_meant(headers) {
        return Err(Wrong::new(
            StatusCode::FORBIDDEN,
            "the header x-console-action: 1 is missing",
            "send it with every action",
        ));
    }
    Ok(())
}

fn get(method: &Method) -> Result<(), Wrong> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(not_allowed(method, "GET")),
    }
}

fn post(method: &Method) -> Result<(), Wrong> {
    match *method {
        Method::POST => Ok(()),
        _ => Err(not_allowed(method, "POST")),
    }
}

fn not_allowed(method: &Method, instead: &'static str) -> Wrong {
    Wrong::method(format!("{method} does nothing here"), instead)
}

async fn bytes(headers: &HeaderMap, body: Incoming) -> Result<Vec<u8>, Wrong> {
    let is_json = headers
        .get(hyper::header::CONTENT_TYPE)
        .and_then(|of| of.to_str().ok())
        .and_then(|of| of.split(';').next())
        .is_some_and(|of| of.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Wrong::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is no JSON by its content-type",
            "send content-type: application/json",
        ));
    }
    let collected = Limited::new(body, BODY_BYTES)
        .collect()
        .await
        .map_err(|error| {
            Wrong::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body cannot be read: {error}"),
                format!("it may have {BODY_BYTES} bytes"),
            )
        })?;
    Ok(collected.to_bytes().to_vec())
}

async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming) -> Result<T, Wrong> {
    let bytes = bytes(headers, body).await?;
    parse(&bytes)
}

/// A body as a value.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(bytes).map_err(|error| {
        Wrong::bad(
            format!("the body does not fit: {error}"),
            "docs/console-api.md tells what it should be",
        )
    })
}

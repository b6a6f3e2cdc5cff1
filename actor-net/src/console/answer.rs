//! Answers: JSON, text, files, and what is wrong with a request.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::api::Problem;

pub(super) type Answer = Response<Full<Bytes>>;

/// What is wrong with a request, and what to do.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) status: StatusCode,
    error: String,
    hint: String,
    allow: Option<&'static str>,
}

impl Wrong {
    pub(super) fn new(
        status: StatusCode,
        error: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error: error.into(),
            hint: hint.into(),
            allow: None,
        }
    }

    /// 405, with the method there is.
    pub(super) fn method(error: impl Into<String>, instead: &'static str) -> Self {
        Self {
            allow: Some(instead),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                error,
                format!("use {instead}"),
            )
        }
    }

    /// 400.
    pub(super) fn bad(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    /// 404.
    pub(super) fn missing(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, hint)
    }

    /// 503.
    pub(super) fn unavailable(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    }

    pub(super) fn answer(self) -> Answer {
        let Self {
            status,
            error,
            hint,
            allow,
        } = self;
        let mut answer = json(&Problem { error, hint });
        *answer.status_mut() = status;
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"console\"");
            answer
                .headers_mut()
                .insert(hyper::header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(method) = allow {
            let headers = answer.headers_mut();
            headers.insert(hyper::header::ALLOW, HeaderValue::from_static(method));
        }
        answer
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.status, self.error, self.hint)
    }
}

/// 200 with a value.
pub(super) fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => typed("application/json", text),
        // Maps have texts for keys, and no value of ours refuses.
        Err(error) => {
            let mut answer = typed("text/plain; charset=utf-8", error.to_string());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

/// 200 with a body of that type, which nobody keeps.
pub(super) fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What every answer says to a browser: nothing from elsewhere, into no frame, to nobody else.
pub(super) fn harden(answer: &mut Answer) {
    for (name, value) in HEADERS {
        answer.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}

const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=()",
    ),
];

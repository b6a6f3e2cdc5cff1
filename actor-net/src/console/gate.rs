//! Who may: tokens, sessions, hosts, and what a page may do.
//!
//! Against whom: somebody on the network (a token, compared in constant time, needed beyond loopback); a page of somebody
//! else's in the operator's browser. Such a page can send requests here and cannot read the answers, unless its own name is
//! made to point here (DNS rebinding): so the `Host` must be one of ours. What it could do without reading is refused as well:
//! nothing changes but by `POST` with a header that no form can send, walks cost something and are not made for requests
//! that a browser says come from another site.
//!
//! A session is a random number in a cookie. What is kept of it is a keyed hash, so what is compared is no secret.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderValue};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Sessions that may be open; the oldest makes room.
const SESSIONS_MAX: usize = 64;
/// How long a session lasts: 12 h.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 3600);
/// How long the answer to a wrong token waits.
pub(super) const WRONG_TOKEN: Duration = Duration::from_millis(300);
/// Browsers send cookies to all ports of a host: so it has a name that others do not use.
const COOKIE_NAME: &str = "actor_console";

pub(super) struct Gate {
    key: hmac::Key,
    /// Of the token; none without one.
    token: Option<hmac::Tag>,
    hosts: Vec<String>,
    sessions: Mutex<VecDeque<(hmac::Tag, Instant)>>,
    random: SystemRandom,
}

/// How somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// By the token itself, which no browser adds by itself.
    Token,
    /// By a session.
    Session,
    /// There is no token: anybody who can connect.
    Anybody,
    /// Not at all.
    Stranger,
}

impl Gate {
    /// `None` without random numbers.
    pub(super) fn new(token: Option<String>, hosts: impl Iterator<Item = String>) -> Option<Self> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).ok()?;
        Some(Self {
            token: token.map(|token| hmac::sign(&key, token.as_bytes())),
            key,
            hosts: hosts.map(|host| host.to_ascii_lowercase()).collect(),
            sessions: Mutex::default(),
            random,
        })
    }

    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        if self.token.is_none() {
            return Caller::Anybody;
        }
        if let Some(token) = bearer(headers) {
            return if self.is_token(token) {
                Caller::Token
            } else {
                Caller::Stranger
            };
        }
        match session(headers) {
            Some(id) if self.is_open(id) => Caller::Session,
            _ => Caller::Stranger,
        }
    }

    /// Constant time: a keyed hash is compared.
    pub(super) fn is_token(&self, token: &str) -> bool {
        let tag = self.token.as_ref();
        tag.is_some_and(|tag| hmac::verify(&self.key, token.as_bytes(), tag.as_ref()).is_ok())
    }

    /// Whether the request was sent to us by name, and not to somebody whose name points here.
    pub(super) fn is_ours(&self, headers: &HeaderMap) -> bool {
        // A client without it is no browser.
        let Some(host) = headers.get(HOST) else {
            return true;
        };
        let Some(host) = host.to_str().ok().map(without_port) else {
            return false;
        };
        let host = host.to_ascii_lowercase();
        // An address is nobody's name.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.hosts.contains(&host)
    }

    /// A new session's cookie; `None` without random numbers.
    pub(super) fn open_session(&self) -> Option<HeaderValue> {
        let mut id = [0; 32];
        self.random.fill(&mut id).ok()?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sessions = self.sessions();
        if sessions.len() == SESSIONS_MAX {
            sessions.pop_front();
        }
        sessions.push_back((
            hmac::sign(&self.key, id.as_bytes()),
            Instant::now() + SESSION,
        ));
        HeaderValue::try_from(format!(
            "{COOKIE_NAME}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
            SESSION.as_secs()
        ))
        .ok()
    }

    /// Ends the session of a request; the cookie that forgets it.
    pub(super) fn close_session(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(id) = session(headers) {
            self.sessions().retain(|(tag, _)| !self.is_of(id, tag));
        }
        // "actor_console", as above.
        HeaderValue::from_static("actor_console=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    fn is_open(&self, id: &str) -> bool {
        let now = Instant::now();
        let mut sessions = self.sessions();
        sessions.retain(|(_, until)| *until > now);
        sessions.iter().any(|(tag, _)| self.is_of(id, tag))
    }

    fn is_of(&self, id: &str, tag: &hmac::Tag) -> bool {
        hmac::verify(&self.key, id.as_bytes(), tag.as_ref()).is_ok()
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<(hmac::Tag, Instant)>> {
        // Nothing under it leaves it half changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a browser says that the request comes from a page of another site.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes() == b"cross-site")
}

/// Whether the request has the header that no form and no simple request of another page can have.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    headers
        .get("x-console-action")
        .is_some_and(|value| value.as_bytes() == b"1")
}

/// Why a text is no token.
pub(super) fn check_token(token: &str) -> Result<(), String> {
    let length = token.chars().count();
    if !(16..=512).contains(&length) {
        return Err(format!(
            "has {length} characters; 16 to 512 are needed, such as from `openssl rand -hex 32`"
        ));
    }
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("has spaces or characters beyond ASCII".to_owned())
    }
}

/// Whether that can be a host's name.
pub(super) fn check_host(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(legal)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter();
    cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has colons, and stands in brackets.
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests;

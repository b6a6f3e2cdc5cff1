//! A system with a console, a small client, and what every answer must have.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use actor_core::topology::Workers;
use actor_core::{ActorId, ActorSystem};
use actor_net::console::{Console, ConsoleBuilder};
use serde_json::Value;

/// Long enough for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// With one worker.
pub(crate) fn system() -> ActorSystem {
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.build().expect("a system with one worker")
}

/// On a port of its own.
pub(crate) fn builder(system: &ActorSystem) -> ConsoleBuilder {
    Console::builder(system).listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub(crate) fn console(system: &ActorSystem) -> Console {
    builder(system).start().expect("it starts")
}

/// A clean shutdown, with books that add up.
pub(crate) fn finish(system: ActorSystem) {
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "{report}");
}

/// As the console writes it.
pub(crate) fn short(id: ActorId) -> String {
    id.to_string().replace("actor:", "")
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// It is refused so, says why, and what to do.
    pub(crate) fn is_refused(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let told = self.json();
        let (error, hint) = (told["error"].as_str(), told["hint"].as_str());
        assert!(hint.is_some_and(|hint| !hint.is_empty()), "{self:?}");
        let text = format!(
            "{}: {}",
            error.unwrap_or_default(),
            hint.unwrap_or_default()
        );
        assert!(text.contains(words), "{text:?} says {words:?}");
    }
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    addr: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

pub(crate) fn ask(console: &Console, path: &str) -> Ask {
    Ask {
        addr: console.local_addr(),
        method: "GET",
        path: path.to_owned(),
        headers: vec![("Host".to_owned(), console.local_addr().to_string())],
        body: None,
    }
}

pub(crate) fn get(console: &Console, path: &str) -> Value {
    let answer = ask(console, path).send();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

impl Ask {
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// With that header in place of one that is there.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(of, _)| !of.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn post(mut self, body: &str) -> Self {
        self.method = "POST";
        self.body = Some(body.to_owned());
        self.header("Content-Type", "application/json")
    }

    pub(crate) fn send(self) -> Answer {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let body = self.body.unwrap_or_default();
        if self.method == "POST" {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        raw(self.addr, format!("{text}\r\n{body}").as_bytes())
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) fn raw(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    let mut told = Vec::new();
    stream
        .read_to_end(&mut told)
        .expect("an answer, and its end");
    let told = String::from_utf8(told).expect("UTF-8");
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or((&told, ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("a status: {told:?}")),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// Asks again until the answer is such.
pub(crate) fn until(console: &Console, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let told = get(console, path);
        if is_it(&told) {
            return told;
        }
        assert!(std::time::Instant::now() < end, "{path} stays {told}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

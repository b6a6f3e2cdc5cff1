//! Asks the console.

use std::error::Error;
use std::time::Duration;

use actor_net::console::api::Problem;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may be.
const BYTES_MAX: usize = 16 << 20;

/// Knows where the console is, and its token.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    token: Option<String>,
}

impl Client {
    /// # Errors
    ///
    /// For an address that is none.
    pub(crate) fn new(address: &str, token: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let address = address
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(format!("{address:?} is no address: must be HOST:PORT").into());
        }
        Ok(Self {
            address,
            token: token.map(str::to_owned),
        })
    }

    /// The answer to one question.
    ///
    /// # Errors
    ///
    /// When nobody listens, or the console has a problem with the question.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<dyn Error>> {
        let asking = tokio::time::timeout(PATIENCE, self.ask(path));
        let (status, body) = asking
            .await
            .map_err(|_| format!("{} did not answer within {PATIENCE:?}", self.address))??;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { error, hint, .. }) => format!("{error}: {hint}").into(),
            Err(_) => format!(
                "{} answers {status} to {path}: is it a console?",
                self.address
            )
            .into(),
        })
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| {
            format!(
                "no console at {}: {error}. Start a program with one (orders -- --load --console), or say where it is: \
                 --console HOST:PORT",
                self.address
            )
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let mut request = Request::get(path).header(HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
        driven.abort();
        let body = body.map_err(|error| format!("{} to {path}: {error}", self.address))?;
        Ok((status, body.to_bytes()))
    }
}

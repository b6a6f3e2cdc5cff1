//! What the tests of the transport share: keys on disk, links that log, and patience.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod by_hand;

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_net::transport::{
    DialError, DialFailure, Established, Flow, HandshakeFailure, Link, LinkEnd, LinkEvents,
    Listener, Mtls, PinnedKeys, Security, SharedKey, TcpLink, Transport, TransportObserver,
    TransportSettings, TurnedAway, Unsent,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Long enough for a loaded machine; nothing waits for it but a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is waited for comes, or the test fails with what it was.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come"),
    }
}

/// Until it holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Settings that no loaded machine exceeds. A test that is about a limit sets that one.
pub(crate) fn patient() -> TransportSettings {
    TransportSettings::default()
        .connect_within(2 * PATIENCE)
        .handshake_within(2 * PATIENCE)
        .close_within(2 * PATIENCE)
        .user_timeout(2 * PATIENCE)
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A directory that goes away with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("actor-net-{}-{n}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate authority.
pub(crate) struct Pki(CertifiedIssuer<'static, KeyPair>);

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, as PEM.
    pub(crate) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let pair = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&pair, &self.0).unwrap();
        (certificate.pem(), pair.serialize_pem())
    }

    /// The files of a peer with this name, who trusts this authority.
    pub(crate) fn files(&self, dir: &Dir, name: &str) -> Mtls {
        let (certificate, key) = self.issue(&[name, "127.0.0.1"], |_| {});
        Mtls::new(
            dir.write("ca.pem", self.pem()),
            dir.write(&format!("{name}.pem"), certificate),
            dir.write(&format!("{name}.key"), key),
        )
    }
}

pub(crate) const DIGITS: &str = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
pub(crate) const OTHER: &str = "17a98d20ce4ba0f37756fa89c1b0d2e35f608437bd3a19eec4682b05f1739dcc";

pub(crate) fn shared(digits: &str) -> Security {
    Security::shared_key(SharedKey::from_hex(digits).unwrap())
}

/// Two peers with pinned keys who know each other.
pub(crate) fn pinned_pair(dir: &Dir) -> (Security, Security) {
    let key = |name: &str| dir.write(name, KeyPair::generate().unwrap().serialize_pem());
    let (a, b) = (key("a.key"), key("b.key"));
    let pin = |path| PinnedKeys::fingerprint_of(path).unwrap();
    let list = dir.write("list", format!("{} peer-a\n{} peer-b\n", pin(&a), pin(&b)));
    (
        Security::pinned_keys(PinnedKeys::from_files(a, &list)),
        Security::pinned_keys(PinnedKeys::from_files(b, &list)),
    )
}

/// Remembers who did not get in.
#[derive(Default)]
pub(crate) struct Watcher {
    pub(crate) refused: Mutex<Vec<HandshakeFailure>>,
    pub(crate) turned_away: Mutex<Vec<TurnedAway>>,
}

impl TransportObserver for Watcher {
    fn turned_away(&self, _: SocketAddr, why: TurnedAway) {
        self.turned_away.lock().unwrap().push(why);
    }

    fn refused(&self, _: SocketAddr, why: &HandshakeFailure) {
        self.refused.lock().unwrap().push(why.clone());
    }
}

impl Watcher {
    /// The only refusal, when it has come.
    pub(crate) async fn refusal(&self) -> HandshakeFailure {
        until("a refusal", || !self.refused.lock().unwrap().is_empty()).await;
        let refused = self.refused.lock().unwrap();
        assert_eq!(refused.len(), 1, "{refused:?}");
        refused[0].clone()
    }
}

/// A transport, and who sees whom it refuses.
pub(crate) fn observed(
    settings: TransportSettings,
    security: Security,
) -> (Transport, Arc<Watcher>) {
    let watcher = Arc::new(Watcher::default());
    let observer: Arc<dyn TransportObserver> = watcher.clone();
    let handle = Handle::current();
    let transport = Transport::start_observed(settings, security, &handle, Some(observer));
    (transport.unwrap(), watcher)
}

pub(crate) fn transport(security: Security) -> Transport {
    observed(patient(), security).0
}

/// One connection between two transports, at both ends.
pub(crate) async fn connect(from: &Transport, to: &mut Listener) -> (Established, Established) {
    let endpoint = to.local_addr().into();
    let (dialled, accepted) = tokio::join!(from.dial(&endpoint), to.accept());
    (dialled.unwrap(), accepted.unwrap())
}

/// Why a dial failed, if it was in the handshake.
pub(crate) fn handshake_failure(result: Result<Established, DialError>) -> HandshakeFailure {
    match result.unwrap_err().failure() {
        DialFailure::Handshake(failure) => failure.clone(),
        other => panic!("{other}"),
    }
}

/// What a link hears, for a test to wait for.
pub(crate) enum Heard {
    Bytes(Vec<u8>),
    End(LinkEnd, Unsent),
}

pub(crate) struct Ear {
    said: mpsc::UnboundedSender<Heard>,
    answer: Option<TcpLink>,
}

impl LinkEvents for Ear {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        if let Some(link) = &self.answer {
            link.send(bytes).unwrap();
        }
        let _ = self.said.send(Heard::Bytes(bytes.to_vec()));
        match bytes {
            b"bad" => Flow::Abort("it said bad".into()),
            b"panic" => panic!("planted"),
            b"pause" => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    fn closed(&mut self, end: &LinkEnd, unsent: Unsent) {
        let _ = self.said.send(Heard::End(end.clone(), unsent));
    }
}

/// A link and what it hears.
pub(crate) struct End {
    pub(crate) link: TcpLink,
    pub(crate) heard: mpsc::UnboundedReceiver<Heard>,
}

impl End {
    pub(crate) fn of(established: Established) -> Self {
        Self::start(established, false)
    }

    /// One that says what it hears.
    pub(crate) fn echo(established: Established) -> Self {
        Self::start(established, true)
    }

    fn start(established: Established, echo: bool) -> Self {
        let (said, heard) = mpsc::unbounded_channel();
        let link = established.start(&Handle::current(), |link| Ear {
            said,
            answer: echo.then(|| link.clone()),
        });
        Self {
            link: link.unwrap(),
            heard,
        }
    }

    /// So many bytes.
    pub(crate) async fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < n {
            match patiently("bytes", self.heard.recv()).await {
                Some(Heard::Bytes(bytes)) => all.extend(bytes),
                Some(Heard::End(end, _)) => panic!("{end} after {} of {n} bytes", all.len()),
                None => panic!("nothing is said any more"),
            }
        }
        assert_eq!(all.len(), n);
        all
    }

    /// The end, and what came before it.
    pub(crate) async fn end(&mut self) -> (Vec<u8>, LinkEnd, Unsent) {
        let mut all = Vec::new();
        loop {
            match patiently("the end", self.heard.recv()).await {
                Some(Heard::Bytes(bytes)) => all.extend(bytes),
                Some(Heard::End(end, unsent)) => return (all, end, unsent),
                None => panic!("the end was not told"),
            }
        }
    }
}

/// Nothing of a transport is left.
pub(crate) async fn at_rest(transports: &[&Transport]) {
    for transport in transports {
        patiently("the shut-down", transport.shutdown(Duration::from_secs(30))).await;
        let stats = transport.stats();
        assert_eq!(
            (stats.tasks, stats.links, stats.unauthenticated),
            (0, 0, 0),
            "{stats:?}"
        );
        assert_eq!(
            stats.arrived,
            stats.turned_away + stats.refused + stats.admitted,
            "{stats:?}"
        );
    }
}

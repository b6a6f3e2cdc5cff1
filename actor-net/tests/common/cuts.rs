//! Relays before the peers of a test, which cut whom they are told to cut, and change what they are told to change.
//!
//! A peer says where it is dialled (`advertise`): at its relay. Who dials says its name first, and without TLS anybody
//! can read it, so a relay knows whose each connection is. A cut closes what there is between two peers and what is
//! dialled until it is mended; each side notices as with any broken connection.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Which of the peers, by their names, are cut from which.
#[derive(Clone)]
pub(crate) struct Cuts {
    names: Arc<[String]>,
    now: watch::Sender<Now>,
    /// Where the peer behind each relay listens.
    behind: Arc<Mutex<BTreeMap<String, SocketAddr>>>,
    carried: Arc<AtomicUsize>,
    tamper: Option<Arc<Tamper>>,
}

/// Is given each frame that a dialler says, whole, and may make something else of it.
type Tamper = dyn Fn(&mut Vec<u8>) + Send + Sync;

#[derive(Default)]
struct Now {
    apart: BTreeSet<(String, String)>,
    /// How often all connections were broken.
    breaks: usize,
}

impl Cuts {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            now: watch::Sender::default(),
            behind: Arc::default(),
            carried: Arc::default(),
            tamper: None,
        }
    }

    /// Changes what diallers say. Their peers must be without TLS.
    pub(crate) fn tampering(
        mut self,
        tamper: impl Fn(&mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        self.tamper = Some(Arc::new(tamper));
        self
    }

    /// A relay before a peer that is not started yet; where to dial it.
    pub(crate) async fn relay(&self, name: &str, runtime: &Handle) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (cuts, name) = (self.clone(), name.to_owned());
        runtime.spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(cuts.clone().carry(name.clone(), from));
            }
        });
        addr
    }

    /// The peer has been started.
    pub(crate) fn is_at(&self, name: &str, addr: SocketAddr) {
        self.behind.lock().unwrap().insert(name.to_owned(), addr);
    }

    /// Nothing passes between `one` and any other from here on.
    pub(crate) fn isolate(&self, one: &str) {
        self.now.send_modify(|now| {
            for other in self.names.iter().filter(|name| *name != one) {
                now.apart.insert((one.to_owned(), other.clone()));
                now.apart.insert((other.clone(), one.to_owned()));
            }
        });
    }

    pub(crate) fn mend(&self) {
        self.now.send_modify(|now| now.apart.clear());
    }

    /// Breaks all connections there are. They may be dialled again at once.
    pub(crate) fn break_all(&self) {
        self.now.send_modify(|now| now.breaks += 1);
    }

    /// How many connections there were.
    pub(crate) fn carried(&self) -> usize {
        self.carried.load(Ordering::SeqCst)
    }

    async fn carry(self, to: String, from: TcpStream) {
        let behind = self.behind.lock().unwrap().get(&to).copied();
        let Some(behind) = behind else { return };
        let mut now = self.now.subscribe();
        let breaks = now.borrow().breaks;
        let Ok(onward) = TcpStream::connect(behind).await else {
            return;
        };
        self.carried.fetch_add(1, Ordering::SeqCst);
        let who = OnceLock::new();
        let is_cut = |now: &Now| {
            let who: Option<&String> = who.get();
            let is_apart = |who: &String| now.apart.contains(&(who.clone(), to.clone()));
            now.breaks > breaks || who.is_some_and(is_apart)
        };
        let (mut read, mut answer) = from.into_split();
        let (mut answers, mut write) = onward.into_split();
        let forward = async {
            let mut first = Vec::new();
            let mut frames = Frames::default();
            let mut piece = [0; 16 << 10];
            while let Ok(len @ 1..) = read.read(&mut piece).await {
                if who.get().is_none() {
                    first.extend_from_slice(&piece[..len]);
                    if let Some(name) = self.name_in(&first) {
                        who.get_or_init(|| name);
                    }
                }
                let changed = self
                    .tamper
                    .as_ref()
                    .map(|it| frames.change(&piece[..len], &**it));
                let bytes = changed.as_deref().unwrap_or(&piece[..len]);
                // What is read after a cut does not pass, even if nobody was woken for the cut yet.
                if is_cut(&self.now.borrow()) {
                    return;
                }
                if write.write_all(bytes).await.is_err() {
                    // What the other side has said last may still pass.
                    std::future::pending::<()>().await;
                }
            }
        };
        let backward = async {
            let mut piece = [0; 16 << 10];
            while let Ok(len @ 1..) = answers.read(&mut piece).await {
                if is_cut(&self.now.borrow()) || answer.write_all(&piece[..len]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = now.wait_for(is_cut) => {}
            () = forward => {}
            () = backward => {}
        }
    }

    fn name_in(&self, said: &[u8]) -> Option<String> {
        let is_said = |name: &&String| {
            let mut places = said.windows(name.len());
            places.any(|at| at == name.as_bytes())
        };
        self.names.iter().find(is_said).cloned()
    }
}

/// What a dialler says, frame by frame: 16 bytes of admission, then a length of four bytes, two more, and the body.
#[derive(Default)]
struct Frames {
    begun: bool,
    rest: Vec<u8>,
}

impl Frames {
    /// Whole frames, changed. What is not whole yet is kept.
    fn change(&mut self, bytes: &[u8], tamper: &Tamper) -> Vec<u8> {
        self.rest.extend_from_slice(bytes);
        let mut out = Vec::new();
        if !self.begun && self.rest.len() >= 16 {
            self.begun = true;
            out.extend(self.rest.drain(..16));
        }
        while self.begun && self.rest.len() >= 6 {
            let body = u32::from_le_bytes(self.rest[..4].try_into().unwrap());
            let whole = 6 + body as usize;
            if self.rest.len() < whole {
                break;
            }
            let mut frame: Vec<u8> = self.rest.drain(..whole).collect();
            tamper(&mut frame);
            out.extend(frame);
        }
        out
    }
}

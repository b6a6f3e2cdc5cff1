//! Relays before the peers of a test, which cut whom they are told to cut.
//!
//! A peer says where it is dialled (`advertise`): at its relay. Who dials says its name first, and without TLS anybody
//! can read it, so a relay knows whose each connection is. A cut closes what there is between two peers and what is
//! dialled until it is mended; each side notices as with any broken connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Which of the peers, by their names, are cut from which.
#[derive(Clone)]
pub(crate) struct Cuts {
    names: Arc<[String]>,
    apart: watch::Sender<BTreeSet<(String, String)>>,
    /// Where the peer behind each relay listens.
    behind: Arc<Mutex<BTreeMap<String, SocketAddr>>>,
}

impl Cuts {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            apart: watch::Sender::default(),
            behind: Arc::default(),
        }
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
        self.apart.send_modify(|apart| {
            for other in self.names.iter().filter(|name| *name != one) {
                apart.insert((one.to_owned(), other.clone()));
                apart.insert((other.clone(), one.to_owned()));
            }
        });
    }

    pub(crate) fn mend(&self) {
        self.apart.send_replace(BTreeSet::new());
    }

    async fn carry(self, to: String, from: TcpStream) {
        let behind = self.behind.lock().unwrap().get(&to).copied();
        let Some(behind) = behind else { return };
        let Ok(onward) = TcpStream::connect(behind).await else {
            return;
        };
        let who = OnceLock::new();
        let is_cut = |apart: &BTreeSet<(String, String)>| {
            let who: Option<&String> = who.get();
            who.is_some_and(|who| apart.contains(&(who.clone(), to.clone())))
        };
        let (mut read, mut answer) = from.into_split();
        let (mut answers, mut write) = onward.into_split();
        let forward = async {
            let mut first = Vec::new();
            let mut piece = [0; 16 << 10];
            while let Ok(len @ 1..) = read.read(&mut piece).await {
                if who.get().is_none() {
                    first.extend_from_slice(&piece[..len]);
                    if let Some(name) = self.name_in(&first) {
                        who.get_or_init(|| name);
                    }
                }
                // What is read after a cut does not pass, even if nobody was woken for the cut yet.
                if is_cut(&self.apart.borrow()) || write.write_all(&piece[..len]).await.is_err() {
                    return;
                }
            }
        };
        let backward = async {
            let mut piece = [0; 16 << 10];
            while let Ok(len @ 1..) = answers.read(&mut piece).await {
                if is_cut(&self.apart.borrow()) || answer.write_all(&piece[..len]).await.is_err() {
                    return;
                }
            }
        };
        let mut apart = self.apart.subscribe();
        tokio::select! {
            _ = apart.wait_for(is_cut) => {}
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

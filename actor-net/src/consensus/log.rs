//! The log of the consensus and the votes, in memory or in memory and on disk.
//!
//! The whole log that has not been purged is in memory in either case (it is short: a snapshot every few
//! thousand entries, each of at most 128 KiB and mostly of some hundred bytes); the disk is for after a crash. What
//! changes becomes one record in the file `log`, synced before the engine hears that it is done. When most of the
//! file is of no use any more it is written anew.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError};
use serde::{Deserialize, Serialize};

use crate::id::ClusterId;

use super::disk::Disk;
use super::engine::{LogId, RaftEntry, RaftId, Types, Vote};
use super::error::StoreError;
use super::{frames, message};

const FILE: &str = "log";

/// The file is written anew when it has twice as many bytes as are of use, and this many at least: 1 MiB.
const REWRITE_BYTES: u64 = 1 << 20;

/// Bytes of entries that are read for one message: 256 KiB.
const READ_BYTES_MAX: usize = 256 << 10;

/// The log; copies are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    shared: Arc<Mutex<Shared>>,
    blocks: bool,
}

#[derive(Debug)]
struct Shared {
    facts: Facts,
    disk: Option<OnDisk>,
    failed: Option<String>,
}

#[derive(Debug)]
struct OnDisk {
    disk: Arc<Mutex<dyn Disk>>,
    /// Bytes of the file.
    bytes: u64,
}

/// What is remembered.
#[derive(Debug)]
struct Facts {
    identity: Identity,
    founding: Option<RaftId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, (RaftEntry, usize)>,
    /// Bytes of the entries.
    bytes: usize,
}

/// Whose store it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) id: RaftId,
}

/// A record of the file.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Identity(Identity),
    Founding(Option<RaftId>),
    Vote(Vote),
    Append {
        entries: Vec<RaftEntry>,
        committed: Option<LogId>,
    },
    Truncate(u64),
    Purge(LogId),
}

impl Log {
    /// A log that is forgotten with the process.
    pub(crate) fn in_memory(identity: Identity) -> Self {
        Self::new(identity, None)
    }

    /// The log that lies on a disk; a new one of that identity if there is none.
    pub(crate) fn on_disk(
        identity: Identity,
        disk: Arc<Mutex<dyn Disk>>,
    ) -> Result<Self, StoreError> {
        let (bytes, blocks) = {
            let mut disk = lock(&disk);
            let bytes = disk.read(FILE).map_err(|e| StoreError::io(FILE, e))?;
            (bytes, disk.blocks())
        };
        let on_disk = OnDisk {
            disk: Arc::clone(&disk),
            bytes: 0,
        };
        let mut log = Self::new(identity.clone(), Some(on_disk));
        log.blocks = blocks;
        {
            let mut shared = lock(&log.shared);
            match bytes {
                Some(bytes) if !bytes.is_empty() => shared.recover(&identity, &bytes)?,
                _ => {
                    let record = Record::Identity(identity);
                    shared.write(&record).map_err(|e| StoreError::io(FILE, e))?;
                }
            }
        }
        Ok(log)
    }

    fn new(identity: Identity, disk: Option<OnDisk>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                facts: Facts {
                    identity,
                    founding: None,
                    vote: None,
                    committed: None,
                    purged: None,
                    entries: BTreeMap::new(),
                    bytes: 0,
                },
                disk,
                failed: None,
            })),
            blocks: false,
        }
    }

    /// Who takes part by this store.
    pub(crate) fn identity(&self) -> Identity {
        lock(&self.shared).facts.identity.clone()
    }

    /// Which founding of the cluster this peer holds to.
    pub(crate) fn founding(&self) -> Option<RaftId> {
        lock(&self.shared).facts.founding
    }

    /// Nothing was agreed on here, and nobody was voted for: which founding it holds to may still change.
    pub(crate) fn is_pristine(&self) -> bool {
        let shared = lock(&self.shared);
        let facts = &shared.facts;
        facts.entries.is_empty() && facts.purged.is_none() && facts.vote.is_none()
    }

    /// Holds to a founding, also after a crash.
    pub(crate) async fn set_founding(&self, founding: Option<RaftId>) -> Result<(), StoreError> {
        self.run(move |shared| {
            if shared.facts.founding == founding {
                return Ok(());
            }
            shared.write(&Record::Founding(founding))?;
            shared.facts.founding = founding;
            Ok(())
        })
        .await
        .map_err(|error| StoreError::io(FILE, error))
    }

    /// Runs something that may wait for the disk where that holds nobody up.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shared) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let mut shared = lock(&shared);
            if let Some(failed) = &shared.failed {
                return Err(io::Error::other(failed.clone()));
            }
            let done = work(&mut shared);
            if let Err(error) = &done {
                // What is on the disk is not known any more. Nothing is promised until a restart has read it.
                shared.failed = Some(format!("an earlier write failed: {error}"));
            }
            done
        };
        if self.blocks {
            let task = tokio::task::spawn_blocking(work);
            task.await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        } else {
            work()
        }
    }
}

impl Shared {
    fn recover(&mut self, wanted: &Identity, bytes: &[u8]) -> Result<(), StoreError> {
        let found = frames::read(bytes).map_err(|at| StoreError::corrupt(FILE, at))?;
        let mut identity = None;
        for (at, payload) in &found.payloads {
            let record = message::decode(payload).map_err(|_| StoreError::corrupt(FILE, *at))?;
            if let Record::Identity(of) = &record {
                identity = Some(of.clone());
            }
            self.facts.replay(record);
        }
        match identity {
            Some(identity) => {
                let same_peer = identity.id.peer() == wanted.id.peer();
                if identity.cluster != wanted.cluster || !same_peer {
                    return Err(StoreError::Foreign {
                        cluster: identity.cluster,
                        peer: identity
                            .id
                            .peer()
                            .map_or_else(String::new, |peer| peer.to_string()),
                    });
                }
                self.facts.identity = identity;
            }
            // The first record never became whole: nothing was promised to anybody.
            None if found.payloads.is_empty() => {}
            None => return Err(StoreError::corrupt(FILE, 0)),
        }
        let failed = |error| StoreError::io(FILE, error);
        if let Some(on_disk) = &mut self.disk {
            if found.whole < bytes.len() as u64 {
                lock(&on_disk.disk).cut(FILE, found.whole).map_err(failed)?;
            }
            on_disk.bytes = found.whole;
        }
        if found.payloads.is_empty() {
            self.write(&Record::Identity(wanted.clone()))
                .map_err(failed)?;
        }
        self.rewrite().map_err(failed)
    }

    /// Makes a change survive a crash.
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let Some(on_disk) = &mut self.disk else {
            return Ok(());
        };
        let bytes = framed(record)?;
        lock(&on_disk.disk).append(FILE, &bytes)?;
        on_disk.bytes += bytes.len() as u64;
        let of_use = self.facts.bytes as u64;
        if on_disk.bytes > REWRITE_BYTES && on_disk.bytes / 2 > of_use {
            // With this record not yet in the facts it must come after the others.
            self.rewrite_with(&bytes)?;
        }
        Ok(())
    }

    /// Writes the file anew.
    fn rewrite(&mut self) -> io::Result<()> {
        self.rewrite_with(&[])
    }

    fn rewrite_with(&mut self, last: &[u8]) -> io::Result<()> {
        let Some(on_disk) = &mut self.disk else {
            return Ok(());
        };
        let facts = &self.facts;
        let mut bytes = framed(&Record::Identity(facts.identity.clone()))?;
        bytes.extend(framed(&Record::Founding(facts.founding))?);
        if let Some(vote) = &facts.vote {
            bytes.extend(framed(&Record::Vote(*vote))?);
        }
        if let Some(purged) = &facts.purged {
            bytes.extend(framed(&Record::Purge(*purged))?);
        }
        bytes.extend(framed(&Record::Append {
            entries: facts.entries.values().map(|(e, _)| e.clone()).collect(),
            committed: facts.committed,
        })?);
        bytes.extend_from_slice(last);
        lock(&on_disk.disk).replace(FILE, &bytes)?;
        on_disk.bytes = bytes.len() as u64;
        Ok(())
    }
}

impl Facts {
    fn replay(&mut self, record: Record) {
        match record {
            Record::Identity(identity) => self.identity = identity,
            Record::Founding(founding) => self.founding = founding,
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Append { entries, committed } => {
                self.append(entries);
                self.committed = committed;
            }
            Record::Truncate(from) => self.truncate(from),
            Record::Purge(upto) => self.purge(upto),
        }
    }

    fn append(&mut self, entries: Vec<RaftEntry>) {
        for entry in entries {
            let bytes = message::encode(&entry).map_or(0, |bytes| bytes.len());
            self.bytes += bytes;
            let before = self.entries.insert(entry.log_id.index, (entry, bytes));
            self.bytes -= before.map_or(0, |(_, bytes)| bytes);
        }
    }

    fn truncate(&mut self, from: u64) {
        self.entries.split_off(&from);
        self.bytes = self.entries.values().map(|(_, bytes)| bytes).sum();
    }

    fn purge(&mut self, upto: LogId) {
        self.entries = self.entries.split_off(&upto.index.saturating_add(1));
        self.bytes = self.entries.values().map(|(_, bytes)| bytes).sum();
        self.purged = Some(upto);
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, StorageError<RaftId>> {
        let shared = lock(&self.shared);
        let found = shared.facts.entries.range(range);
        Ok(found.map(|(_, (entry, _))| entry.clone()).collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<RaftEntry>, StorageError<RaftId>> {
        let shared = lock(&self.shared);
        let mut bytes_so_far = 0_usize;
        let found = shared.facts.entries.range(start..end);
        let fitting = found.take_while(|(_, (_, bytes))| {
            let first = bytes_so_far == 0;
            bytes_so_far = bytes_so_far.saturating_add((*bytes).max(1));
            first || bytes_so_far <= READ_BYTES_MAX
        });
        Ok(fitting.map(|(_, (entry, _))| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<RaftId>> {
        let shared = lock(&self.shared);
        let facts = &shared.facts;
        let last = facts.entries.last_key_value();
        let last = last.map(|(_, (entry, _))| entry.log_id);
        Ok(LogState {
            last_purged_log_id: facts.purged,
            last_log_id: last.or(facts.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError<RaftId>> {
        let vote = *vote;
        self.run(move |shared| {
            shared.write(&Record::Vote(vote))?;
            shared.facts.vote = Some(vote);
            Ok(())
        })
        .await
        .map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError<RaftId>> {
        Ok(lock(&self.shared).facts.vote)
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId>,
    ) -> Result<(), StorageError<RaftId>> {
        // Written with the next entries: it only spares the engine waiting for a leader after a restart.
        lock(&self.shared).facts.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError<RaftId>> {
        Ok(lock(&self.shared).facts.committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<RaftId>>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let done = self
            .run(move |shared| {
                let record = Record::Append {
                    entries,
                    committed: shared.facts.committed,
                };
                shared.write(&record)?;
                if let Record::Append { entries, .. } = record {
                    shared.facts.append(entries);
                }
                Ok(())
            })
            .await;
        let failed = done
            .as_ref()
            .map_err(|error| StorageIOError::write_logs(error).into())
            .copied();
        callback.log_io_completed(done);
        failed
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError<RaftId>> {
        self.run(move |shared| {
            shared.write(&Record::Truncate(log_id.index))?;
            shared.facts.truncate(log_id.index);
            Ok(())
        })
        .await
        .map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError<RaftId>> {
        self.run(move |shared| {
            shared.write(&Record::Purge(log_id))?;
            shared.facts.purge(log_id);
            Ok(())
        })
        .await
        .map_err(|error| StorageIOError::write_logs(&error).into())
    }
}

fn framed(record: &Record) -> io::Result<Vec<u8>> {
    let payload = message::encode(record).map_err(io::Error::other)?;
    frames::frame(&payload).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// A panic while the lock was held left the facts as they were or with the change made: both are whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

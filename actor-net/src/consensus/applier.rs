//! The engine's door to the state machine, and the snapshots.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageError, StorageIOError,
};
use tokio::sync::{broadcast, watch};

use super::authority::{Authority, Change, Event};
use super::disk::Disk;
use super::engine::{Answer, LogId, RaftEntry, RaftId, SnapshotMeta, Stored, Types};
use super::error::StoreError;
use super::machine::{Machine, Saved};
use super::{frames, message};

const FILE: &str = "snapshot";

/// What readers see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) authority: Arc<Authority>,
    /// All entries up to this one are in it.
    pub(crate) applied: Option<LogId>,
}

/// Applies what was agreed on, and tells.
#[derive(Debug)]
pub(crate) struct Applier {
    machine: Machine,
    applied: Option<LogId>,
    membership: Stored,
    snapshots: Snapshots,
    published: watch::Sender<Published>,
    changes: broadcast::Sender<Change>,
}

type Kept = (SnapshotMeta, Vec<u8>);

/// The last snapshot, in memory and, with a disk, there.
#[derive(Clone, Debug)]
struct Snapshots {
    last: Arc<Mutex<Option<Kept>>>,
    disk: Option<Arc<Mutex<dyn Disk>>>,
    blocks: bool,
}

impl Applier {
    /// From the snapshot on the disk, if there is one.
    pub(crate) fn new(
        disk: Option<Arc<Mutex<dyn Disk>>>,
        published: watch::Sender<Published>,
        changes: broadcast::Sender<Change>,
    ) -> Result<Self, StoreError> {
        let blocks = disk.as_ref().is_some_and(|disk| lock(disk).blocks());
        let mut applier = Self {
            machine: Machine::default(),
            applied: None,
            membership: Stored::default(),
            snapshots: Snapshots {
                last: Arc::default(),
                disk,
                blocks,
            },
            published,
            changes,
        };
        let bytes = match &applier.snapshots.disk {
            Some(disk) => lock(disk)
                .read(FILE)
                .map_err(|error| StoreError::io(FILE, error))?,
            None => None,
        };
        if let Some(bytes) = bytes {
            let corrupt = || StoreError::corrupt(FILE, 0);
            let found = frames::read(&bytes).map_err(|_| corrupt())?;
            // It is replaced whole: there is no torn one.
            let [(_, meta), (_, data)] = found.payloads[..] else {
                return Err(corrupt());
            };
            let meta: SnapshotMeta = message::decode(meta).map_err(|_| corrupt())?;
            let saved = message::decode(data).map_err(|_| corrupt())?;
            applier.load(&meta, saved);
            *lock(&applier.snapshots.last) = Some((meta, data.to_vec()));
        }
        Ok(applier)
    }

    fn load(&mut self, meta: &SnapshotMeta, saved: Saved) {
        self.machine = Machine::load(saved);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.publish(
            Arc::new(self.machine.authority().clone()),
            vec![Event::Replaced],
        );
    }

    fn publish(&self, authority: Arc<Authority>, events: Vec<Event>) {
        self.published.send_replace(Published {
            authority: Arc::clone(&authority),
            applied: self.applied,
        });
        if !events.is_empty() {
            // Nobody may be listening.
            let _ = self.changes.send(Change {
                authority,
                events: events.into(),
            });
        }
    }
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), StorageError<RaftId>> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError<RaftId>>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            let answer = match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(request) => {
                    let (outcome, events) = self.machine.apply(&request);
                    if !events.is_empty() {
                        let authority = Arc::new(self.machine.authority().clone());
                        self.publish(authority, events);
                    }
                    Some(outcome)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = Stored::new(Some(entry.log_id), membership);
                    None
                }
            };
            answers.push(Answer(answer));
        }
        // Those that wait for an entry wait for this, whether it changed something or not.
        let applied = self.applied;
        self.published
            .send_modify(|published| published.applied = applied);
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            saved: self.machine.save(),
            applied: self.applied,
            membership: self.membership.clone(),
            snapshots: self.snapshots.clone(),
        }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<RaftId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<RaftId>> {
        let data = snapshot.into_inner();
        let saved = message::decode(&data).map_err(|_| {
            let error = std::io::Error::from(std::io::ErrorKind::InvalidData);
            StorageIOError::read_snapshot(Some(meta.signature()), &error)
        })?;
        self.snapshots.keep(meta.clone(), data).await?;
        self.load(meta, saved);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<Types>>, StorageError<RaftId>> {
        let last = lock(&self.snapshots.last).clone();
        Ok(last.map(|(meta, data)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        }))
    }
}

/// Makes a snapshot of the state as it was when it was asked for.
#[derive(Debug)]
pub(crate) struct Builder {
    saved: Saved,
    applied: Option<LogId>,
    membership: Stored,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<RaftId>> {
        let data = message::encode(&self.saved).map_err(|error| {
            let error = std::io::Error::other(error);
            StorageIOError::write_snapshot(None, &error)
        })?;
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: match &self.applied {
                Some(applied) => applied.to_string(),
                None => "empty".to_owned(),
            },
        };
        self.snapshots.keep(meta.clone(), data.clone()).await?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        })
    }
}

impl Snapshots {
    /// Keeps a snapshot if there is no later one.
    async fn keep(&self, meta: SnapshotMeta, data: Vec<u8>) -> Result<(), StorageError<RaftId>> {
        let signature = meta.signature();
        let snapshots = self.clone();
        let work = move || -> std::io::Result<()> {
            let mut last = lock(&snapshots.last);
            if last
                .as_ref()
                .is_some_and(|(kept, _)| kept.last_log_id > meta.last_log_id)
            {
                return Ok(());
            }
            if let Some(disk) = &snapshots.disk {
                let head = message::encode(&meta).map_err(std::io::Error::other)?;
                let too_large = std::io::ErrorKind::FileTooLarge;
                let mut bytes = frames::frame(&head).ok_or(too_large)?;
                bytes.extend(frames::frame(&data).ok_or(too_large)?);
                lock(disk).replace(FILE, &bytes)?;
            }
            *last = Some((meta, data));
            Ok(())
        };
        let done = if self.blocks {
            let task = tokio::task::spawn_blocking(work);
            task.await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        } else {
            work()
        };
        done.map_err(|error| StorageIOError::write_snapshot(Some(signature), &error).into())
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

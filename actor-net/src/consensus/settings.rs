//! How the consensus keeps time, where it keeps its log, and when a first cluster is founded.

use std::path::PathBuf;
use std::time::Duration;

use super::error::StartError;

/// Settings of the consensus. The defaults are for peers in one place, some milliseconds from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsensusSettings {
    /// A leader speaks to every voter at least this often. Default: 100 ms; 10 ms to 10 s. Raise it, with the
    /// election timeouts, where round trips take more than 30 ms.
    pub heartbeat: Duration,
    /// A voter that hears no leader wants to be one after a random time from here to twice as long. Default:
    /// 500 ms; at least three heartbeats. Until somebody is, nothing can be decided.
    pub election: Duration,
    /// A proposal and a read give up after this. Default: 5 s.
    pub deadline: Duration,
    /// At most so many voters: 1, 3, 5 or 7. Default: 7. There are as many as the members allow, an odd number;
    /// the others learn. More voters survive more crashes at once and answer a little later.
    pub voters_max: usize,
    /// Where the log and the votes are. Default: in memory.
    pub storage: Storage,
    /// When a first cluster is founded. Default: at once, by this peer alone.
    pub bootstrap: Bootstrap,
    /// Where this peer runs: a zone, a rack. Voters are spread over these. Default: nothing.
    pub zone: String,
    /// A snapshot is made after so many entries of the log. Default: 4,096; at least 16.
    pub snapshot_after: u64,
}

impl Default for ConsensusSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(500),
            deadline: Duration::from_secs(5),
            voters_max: 7,
            storage: Storage::Memory,
            bootstrap: Bootstrap::Alone,
            zone: String::new(),
            snapshot_after: 4096,
        }
    }
}

/// Where a peer keeps the log and the votes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// With the process. A peer that restarts is another voter. If more than half of the voters restart at once
    /// what was agreed on is lost, and the others refuse until they are restarted too.
    Memory,
    /// In a directory of this peer alone. A peer that restarts goes on where it was; a whole cluster may.
    Directory(PathBuf),
}

/// When a first cluster is founded. Once there is one, a peer joins it whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bootstrap {
    /// At once, by this peer alone: for a peer without seeds.
    Alone,
    /// As soon as so many peers that have no cluster see each other, all of them agreeing who founds it. It must
    /// be more than half of the peers that are started first, best their number: two groups that do not see
    /// each other may otherwise found two clusters, which never merge.
    Expect(u16),
    /// Never: this peer only joins.
    Join,
}

impl ConsensusSettings {
    pub(super) fn check(&self) -> Result<(), StartError> {
        let refuse = |name, allowed, value: String| {
            Err(StartError::Setting {
                name,
                allowed,
                value,
            })
        };
        let heartbeat = self.heartbeat.as_millis();
        if !(10..=10_000).contains(&heartbeat) {
            return refuse("heartbeat", "10 ms to 10 s", format!("{heartbeat} ms"));
        }
        let election = self.election.as_millis();
        if !(3 * heartbeat..=300_000).contains(&election) {
            return refuse(
                "election",
                "three heartbeats to 300 s",
                format!("{election} ms"),
            );
        }
        if self.deadline.is_zero() {
            return refuse("deadline", "more than 0", "0".to_owned());
        }
        if ![1, 3, 5, 7].contains(&self.voters_max) {
            return refuse("voters_max", "1, 3, 5 or 7", self.voters_max.to_string());
        }
        if self.bootstrap == Bootstrap::Expect(0) {
            return refuse("bootstrap", "1 peer or more", "Expect(0)".to_owned());
        }
        if self.zone.len() > super::command::NAME_BYTES_MAX {
            return refuse(
                "zone",
                "at most 255 bytes",
                format!("{} bytes", self.zone.len()),
            );
        }
        if self.snapshot_after < 16 {
            return refuse(
                "snapshot_after",
                "at least 16",
                self.snapshot_after.to_string(),
            );
        }
        Ok(())
    }
}

//! Why a topology could not be made: each variant names the value and what would be right.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::cpu_list::CpuListError;

/// Why there is no [`Topology`](super::Topology).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyError {
    /// The description of a pretended machine (`ACTOR_TOPOLOGY` or
    /// [`Topology::pretend`](super::Topology::pretend)) is not one.
    InvalidPretend {
        /// The environment variable it came from, if it did.
        variable: Option<&'static str>,
        /// The description as given.
        value: String,
        /// What is wrong with it.
        reason: PretendReason,
    },
    /// There is no account of the machine's CPUs at this place: no Linux, or `/sys` is not mounted.
    NotFound {
        /// The file that would be there on Linux.
        path: PathBuf,
    },
    /// A file of the kernel's account exists and cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// A file of the kernel's account holds a list that is not one.
    InvalidList {
        /// The file.
        path: PathBuf,
        /// The item at fault, and the allowed range.
        reason: CpuListError,
    },
    /// A file of the kernel's account does not fit the rest of it.
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// Its content, shortened.
        value: String,
        /// What was expected instead.
        expected: String,
    },
    /// This process may use none of the machine's CPUs, according to the account read.
    NoAllowedCpu {
        /// The CPUs that are online, as a list.
        online: String,
        /// The CPUs the process may use, as a list.
        allowed: String,
    },
    /// CPUs were named that this process cannot use ([`Topology::only_cpus`](super::Topology::only_cpus)).
    /// All empty: none was named.
    CpusNotUsable {
        /// Those that do not exist, as a list.
        unknown: String,
        /// Those that are switched off, as a list.
        offline: String,
        /// Those outside of the process's cpuset, as a list.
        outside: String,
        /// Those that it can use, as a list.
        usable: String,
    },
    /// NUMA nodes were named that cannot have workers
    /// ([`Topology::only_numa_nodes`](super::Topology::only_numa_nodes)). All empty: none was named.
    NumaNodesNotUsable {
        /// Those that do not exist, as a list.
        unknown: String,
        /// Those without a CPU, as a list.
        memory_only: String,
        /// Those whose CPUs are all outside of the process's cpuset, as a list.
        outside: String,
        /// Those that can have workers, as a list.
        usable: String,
    },
    /// hwloc was asked for and cannot answer.
    Hwloc {
        /// Why: the crate was built without it, or discovery failed.
        reason: &'static str,
    },
}

/// What is wrong with the description of a pretended machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PretendReason {
    /// It has not the form `NODESxCPUS[+MEMORY][@DISTANCE]`.
    Shape,
    /// One of its parts is not a decimal number.
    NotANumber {
        /// Which part, in words.
        part: &'static str,
        /// What stands there.
        given: String,
    },
    /// One of its numbers is too small or too large.
    OutOfRange {
        /// Which part, in words.
        part: &'static str,
        /// What stands there.
        given: String,
        /// The smallest number allowed.
        min: u32,
        /// The largest number allowed.
        max: u32,
    },
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidPretend {
                variable,
                value,
                reason,
            } => {
                if let Some(variable) = variable {
                    write!(f, "{variable}: ")?;
                }
                let value = shortened(value);
                write!(f, "`{value}` does not describe a machine: {reason}")
            }
            Self::NotFound { path } => write!(
                f,
                "no account of the machine's CPUs: {} does not exist",
                path.display()
            ),
            Self::Unreadable { path, kind } => write!(f, "cannot read {}: {kind}", path.display()),
            Self::InvalidList { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Inconsistent {
                path,
                value,
                expected,
            } => write!(
                f,
                "{}: expected {expected}, found `{value}`",
                path.display()
            ),
            Self::NoAllowedCpu { online, allowed } => write!(
                f,
                "no CPU is both online ({online}) and allowed to this process ({allowed}); \
                 check the cpuset of the cgroup or the container"
            ),
            Self::CpusNotUsable {
                unknown,
                offline,
                outside,
                usable,
            } => {
                let why = [
                    ("does not exist", unknown),
                    ("is switched off", offline),
                    ("is outside of this process's cpuset", outside),
                ];
                refusal(f, "CPU", &why, usable)
            }
            Self::NumaNodesNotUsable {
                unknown,
                memory_only,
                outside,
                usable,
            } => {
                let why = [
                    ("does not exist", unknown),
                    ("has no CPU", memory_only),
                    ("has no CPU inside of this process's cpuset", outside),
                ];
                refusal(f, "NUMA node", &why, usable)
            }
            Self::Hwloc { reason } => write!(f, "no answer from hwloc: {reason}"),
        }
    }
}

/// What is wrong with the ones that were named, and which may be.
fn refusal(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    why: &[(&str, &String)],
    usable: &str,
) -> fmt::Result {
    let mut between = "";
    for (reason, which) in why.iter().filter(|(_, which)| !which.is_empty()) {
        write!(f, "{between}{what} {which} {reason}")?;
        between = ", ";
    }
    if between.is_empty() {
        write!(f, "no {what} was named")?;
    }
    write!(f, "; name some of {usable}")
}

impl fmt::Display for PretendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => write!(
                f,
                "expected NODESxCPUS[+MEMORY][@DISTANCE], such as 2x4, 2x4+1 or 2x4@21"
            ),
            Self::NotANumber { part, given } => {
                write!(f, "{part} must be a number, not `{}`", shortened(given))
            }
            Self::OutOfRange {
                part,
                given,
                min,
                max,
            } => write!(f, "{part} must be {min} to {max}, not {}", shortened(given)),
        }
    }
}

impl Error for TopologyError {}
impl Error for PretendReason {}

/// What of a foreign text fits a line of a log, without control characters.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short: String = text
        .trim()
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

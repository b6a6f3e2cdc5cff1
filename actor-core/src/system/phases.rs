//! The order of a shutdown's phases: a graph of names in, one sequence out.
//!
//! Pure: no clock, no threads, nothing is run here. [`ShutdownPhase`] is what a user declares, [`plan`]
//! turns the declarations into a sequence or says by name what is wrong with them, and `shutdown` runs
//! the sequence.
//!
//! The runtime's own phases form a chain, and users hang theirs between its links:
//!
//! ```text
//!  unready -> drain-delay -> stop-intake -> drain-actors -> (workers and reactors stop)
//! ```
//!
//! Where the graph leaves a choice, the sequence is the one a reader expects: a phase runs right after
//! the last of those it is declared to follow; one that only says `before` runs right before that. Two
//! that may swap run in the order of their declaration.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// The longest name of a phase: it becomes part of a thread's name and of log lines.
const NAME_BYTES_MAX: usize = 64;

/// How long a phase may take unless it says otherwise.
pub(super) const PHASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Something of the user's that is done during a shutdown, at a named place.
///
/// The runtime's own phases, in order:
///
/// | phase | what happens | while it lasts |
/// |---|---|---|
/// | `unready` | [`SystemRef::is_ready`](crate::SystemRef::is_ready) turns false, [`Readiness`](crate::Readiness) tells | everything is served |
/// | `drain-delay` | waits for load balancers to notice ([`SystemBuilder::drain_delay`](crate::SystemBuilder::drain_delay)) | everything is served |
/// | `stop-intake` | spawns and messages from outside of actors are refused | accepted work goes on |
/// | `drain-actors` | each actor handles its mailbox and stops, children before parents | actors talk to each other |
///
/// After the last phase, also the user's, workers and tokio runtimes are stopped.
///
/// A phase runs right after the last of those named in [`after`](Self::after); with
/// [`before`](Self::before) alone, right before that; with neither, after `drain-actors`. One phase runs
/// at a time, on a thread of its own with the system's tokio at hand, so that it may also block. From
/// `stop-intake` on it cannot send to actors.
///
/// It has its [timeout](Self::timeout) and what is left of the shutdown's grace, whichever is shorter.
/// One that hangs is dropped at its next await; one that panics or returns an error is reported; in each
/// case the next phases still run. A phase that begins only after the grace is over is skipped and
/// reported as such. Dropping the system without a shutdown runs none.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::ShutdownPhase;
///
/// let system = ActorSystem::builder()
///     .drain_delay(Duration::from_millis(10))
///     .shutdown_phase(
///         ShutdownPhase::new("flush")
///             .after("drain-actors")
///             .timeout(Duration::from_secs(2))
///             .run(|| async { /* write out what the actors left */ }),
///     )
///     .build()?;
/// let report = system.shutdown_blocking(Duration::from_secs(10));
/// assert!(report.is_clean());
/// assert_eq!(report.phases.last().unwrap().name, "flush");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a phase does nothing before it is given to SystemBuilder::shutdown_phase"]
pub struct ShutdownPhase {
    pub(super) name: String,
    pub(super) after: Vec<String>,
    pub(super) before: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) work: Option<Work>,
}

/// Makes the future on the phase's thread: building it may panic or block as well.
pub(super) type Work =
    Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<(), String>>>> + Send>;

impl ShutdownPhase {
    /// A phase of that name: 1 to 64 bytes, none of the runtime's own names.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            after: Vec::new(),
            before: Vec::new(),
            timeout: PHASE_TIMEOUT,
            work: None,
        }
    }

    /// Runs after the phase of that name; may be said several times.
    pub fn after(mut self, phase: impl Into<String>) -> Self {
        self.after.push(phase.into());
        self
    }

    /// Runs before the phase of that name; may be said several times.
    pub fn before(mut self, phase: impl Into<String>) -> Self {
        self.before.push(phase.into());
        self
    }

    /// How long it may take: more than zero; 5 seconds unless said otherwise. Longer than the grace that
    /// is left means: as long as that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What it does, once, in a future that ends with `()` or a `Result<(), E>`.
    ///
    /// The closure and its future run on a thread of their own, with the system's tokio as the current
    /// runtime. Without this the phase is only a name that others can refer to.
    pub fn run<F, T>(mut self, work: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = T> + 'static,
        T: IntoPhaseResult,
    {
        self.work = Some(Box::new(move || {
            Box::pin(async move { work().await.into_phase_result() })
        }));
        self
    }
}

impl fmt::Debug for ShutdownPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownPhase")
            .field("name", &self.name)
            .field("after", &self.after)
            .field("before", &self.before)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What a phase's future may end with: nothing, or a result whose error is reported by its text.
pub trait IntoPhaseResult {
    #[doc(hidden)]
    fn into_phase_result(self) -> Result<(), String>;
}

impl IntoPhaseResult for () {
    fn into_phase_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> IntoPhaseResult for Result<(), E> {
    fn into_phase_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// One step of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Unready,
    DrainDelay,
    StopIntake,
    DrainActors,
    /// Index among the declared ones.
    User(usize),
}

/// The runtime's own, in their order.
const OWN: [(&str, Step); 4] = [
    ("unready", Step::Unready),
    ("drain-delay", Step::DrainDelay),
    ("stop-intake", Step::StopIntake),
    (DRAIN_ACTORS, Step::DrainActors),
];

pub(super) const DRAIN_ACTORS: &str = "drain-actors";

impl Step {
    /// The name of one of the runtime's own.
    pub(super) fn own_name(self) -> Option<&'static str> {
        OWN.iter()
            .find(|(_, step)| *step == self)
            .map(|(name, _)| *name)
    }
}

/// The sequence that the declarations ask for.
pub(super) fn plan(phases: &[ShutdownPhase]) -> Result<Vec<Step>, PhaseError> {
    let graph = Graph::new(phases)?;
    graph.check_circles()?;
    let mut order = Order {
        done: vec![false; graph.names.len()],
        steps: Vec::new(),
    };
    for index in 0..graph.names.len() {
        order.emit(&graph, index);
    }
    Ok(order.steps)
}

/// The runtime's own phases first, then the declared ones; edges by index.
struct Graph<'a> {
    names: Vec<&'a str>,
    /// All that must run earlier.
    needs: Vec<Vec<usize>>,
    /// Those that the phase itself said to follow.
    follows: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn new(phases: &'a [ShutdownPhase]) -> Result<Self, PhaseError> {
        let mut names: Vec<&str> = OWN.iter().map(|(name, _)| *name).collect();
        for phase in phases {
            let name = phase.name.as_str();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(PhaseError::Name {
                    name: name.to_owned(),
                    max: NAME_BYTES_MAX,
                });
            }
            if names.contains(&name) {
                return Err(PhaseError::Duplicate {
                    name: name.to_owned(),
                    own: OWN.iter().any(|(own, _)| *own == name),
                });
            }
            if phase.timeout.is_zero() {
                return Err(PhaseError::ZeroTimeout {
                    name: name.to_owned(),
                });
            }
            names.push(name);
        }
        let mut needs: Vec<Vec<usize>> = (0..names.len())
            .map(|index| match index {
                1..OWN_COUNT => vec![index - 1],
                _ => Vec::new(),
            })
            .collect();
        let mut follows = vec![Vec::new(); names.len()];
        for (index, phase) in phases.iter().enumerate() {
            let index = OWN_COUNT + index;
            let find = |wanted: &String| {
                names
                    .iter()
                    .position(|name| name == wanted)
                    .ok_or_else(|| PhaseError::Unknown {
                        phase: phase.name.clone(),
                        names: wanted.clone(),
                        known: names.iter().map(|name| (*name).to_owned()).collect(),
                    })
            };
            for after in &phase.after {
                let after = find(after)?;
                needs[index].push(after);
                follows[index].push(after);
            }
            for before in &phase.before {
                needs[find(before)?].push(index);
            }
            if phase.after.is_empty() && phase.before.is_empty() {
                needs[index].push(OWN_COUNT - 1);
                follows[index].push(OWN_COUNT - 1);
            }
        }
        Ok(Self {
            names,
            needs,
            follows,
        })
    }

    /// Walks the edges depth first; coming back to a phase on the way is a circle.
    fn check_circles(&self) -> Result<(), PhaseError> {
        let mut finished = vec![false; self.names.len()];
        for start in 0..self.names.len() {
            // The way to where we are, and for each phase on it which edge comes next. Not recursive:
            // the depth is the user's.
            let mut way = vec![(start, 0)];
            while let Some((at, edge)) = way.last_mut() {
                if finished[*at] {
                    way.pop();
                    continue;
                }
                let Some(&next) = self.needs[*at].get(*edge) else {
                    finished[*at] = true;
                    way.pop();
                    continue;
                };
                *edge += 1;
                if let Some(back) = way.iter().position(|(at, _)| *at == next) {
                    // Edges lead to what comes earlier; the reader wants the order of running.
                    let mut circle: Vec<usize> =
                        way[back..].iter().rev().map(|(at, _)| *at).collect();
                    let first = (0..circle.len()).min_by_key(|at| circle[*at]);
                    circle.rotate_left(first.unwrap_or(0));
                    let mut path: Vec<String> = circle
                        .into_iter()
                        .map(|at| self.names[at].to_owned())
                        .collect();
                    path.push(path[0].clone());
                    return Err(PhaseError::Circle { path });
                }
                way.push((next, 0));
            }
        }
        Ok(())
    }
}

const OWN_COUNT: usize = OWN.len();

struct Order {
    done: Vec<bool>,
    steps: Vec<Step>,
}

impl Order {
    /// Puts a phase into the sequence: what it needs just before it, what wants to follow just after.
    ///
    /// An own stack instead of recursion, as above.
    fn emit(&mut self, graph: &Graph<'_>, index: usize) {
        let mut stack = vec![index];
        while let Some(&at) = stack.last() {
            if self.done[at] {
                stack.pop();
                continue;
            }
            let missing = graph.needs[at].iter().find(|need| !self.done[**need]);
            if let Some(missing) = missing {
                stack.push(*missing);
                continue;
            }
            stack.pop();
            self.done[at] = true;
            self.steps.push(match OWN.get(at) {
                Some((_, step)) => *step,
                None => Step::User(at - OWN_COUNT),
            });
            // The last declared first onto the stack, so that the first declared comes off it first.
            for follower in (OWN_COUNT..graph.names.len()).rev() {
                if !self.done[follower]
                    && graph.follows[follower].contains(&at)
                    && graph.needs[follower].iter().all(|need| self.done[*need])
                {
                    stack.push(follower);
                }
            }
        }
    }
}

/// Why the phases of a shutdown make no sequence. Found when the system is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhaseError {
    /// Phases wait for each other in a circle.
    Circle {
        /// Their names in the order in which each would have to run before the next; the first is also
        /// the last.
        path: Vec<String>,
    },
    /// A phase refers to one that there is not.
    Unknown {
        /// The phase that refers.
        phase: String,
        /// The name that it gives.
        names: String,
        /// All names that there are.
        known: Vec<String>,
    },
    /// Two phases have one name.
    Duplicate {
        /// The name.
        name: String,
        /// Whether it is one of the runtime's own.
        own: bool,
    },
    /// The name is empty or too long.
    Name {
        /// The name.
        name: String,
        /// The most bytes that are allowed.
        max: usize,
    },
    /// A phase without any time to run in.
    ZeroTimeout {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for PhaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circle { path } => {
                write!(
                    f,
                    "shutdown phases wait for each other in a circle: {}",
                    path.join(" -> ")
                )
            }
            Self::Unknown {
                phase,
                names,
                known,
            } => write!(
                f,
                "shutdown phase {phase:?} refers to {names:?}, which there is not; there are: {}",
                known.join(", ")
            ),
            Self::Duplicate { name, own: true } => write!(
                f,
                "shutdown phase {name:?}: the runtime has a phase of that name; choose another one"
            ),
            Self::Duplicate { name, own: false } => {
                write!(f, "two shutdown phases are called {name:?}")
            }
            Self::Name { name, max } => write!(
                f,
                "shutdown phase {name:?}: its name has {} bytes; 1 to {max} are allowed",
                name.len()
            ),
            Self::ZeroTimeout { name } => write!(
                f,
                "shutdown phase {name:?}: its timeout is zero; give it more than that"
            ),
        }
    }
}

impl std::error::Error for PhaseError {}

#[cfg(test)]
mod tests;

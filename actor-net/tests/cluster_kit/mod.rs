//! What the tests of whole clusters begin and end with.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_net::cluster::Cluster;

/// Long enough for a loaded machine; nothing waits for it but a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A system with one worker: there are several in a test. What it exports is waited for at its end.
pub(crate) fn system() -> ActorSystem {
    ActorSystem::builder()
        .workers(Workers::Count(1))
        .tracing(actor_core::TracingOptions::new().flush_within(PATIENCE))
        .build()
        .expect("a system")
}

/// Everything that was accepted is accounted for.
pub(crate) fn finish(system: ActorSystem) {
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "{report}");
}

/// Until so many vote, as each of these sees it: of three that do any one may go, and the others still decide. Before that
/// the first alone votes.
#[allow(dead_code, reason = "not every test takes one of them away")]
pub(crate) async fn until_vote(voters: usize, clusters: impl IntoIterator<Item = &Cluster>) {
    for cluster in clusters {
        while cluster.voters().len() < voters {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

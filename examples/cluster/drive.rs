//! Asks with deadlines, from the orders of the file, and what came of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actor_core::AskError;
use actor_net::cluster::Cluster;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::entity::{Order, Place, Receipt};
use crate::order::Placed;
use crate::talk::{Swept, Tally};

/// Asks at a time while each order is asked for once.
const SWEEP_LANES: usize = 64;
/// How long an order is asked for again then, until it counts as not served.
const SWEEP_PATIENCE: Duration = Duration::from_secs(30);
/// Between two asks for the same order.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
/// Asks are begun in bundles, one in so long.
const BUNDLE: Duration = Duration::from_millis(10);

/// Who asks, in this process. A handle.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    orders: Arc<[Placed]>,
    deadline: Duration,
    rate: u32,
    books: Mutex<Tally>,
    drives: AtomicBool,
    at_rest: Notify,
}

impl Driver {
    pub(crate) fn new(
        cluster: Cluster,
        orders: Arc<[Placed]>,
        deadline: Duration,
        rate: u32,
    ) -> Self {
        Self(Arc::new(Inner {
            cluster,
            orders,
            deadline,
            rate,
            books: Mutex::default(),
            drives: AtomicBool::new(false),
            at_rest: Notify::new(),
        }))
    }

    /// What came of all asks so far.
    pub(crate) fn tally(&self) -> Tally {
        self.books().clone()
    }

    /// Asks all the time, so many a second whatever becomes of them, until [`rest`](Self::rest).
    pub(crate) async fn drive(&self) {
        // Relaxed here and below: a bundle more or less.
        if self.0.drives.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut asks = JoinSet::new();
        let mut bundles = tokio::time::interval(BUNDLE);
        bundles.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (began, mut begun, mut next) = (Instant::now(), 0_u64, self.first());
        while self.0.drives.load(Ordering::Relaxed) {
            bundles.tick().await;
            let due = began.elapsed().as_millis() as u64 * u64::from(self.0.rate) / 1000;
            // Never more at a time than a second's worth, after a pause of the machine.
            begun = begun.max(due.saturating_sub(u64::from(self.0.rate)));
            while begun < due {
                begun += 1;
                next = (next + 1) % self.0.orders.len();
                let (driver, order) = (self.clone(), next);
                asks.spawn(async move { _ = driver.ask(order).await });
            }
            while asks.try_join_next().is_some() {}
        }
        while asks.join_next().await.is_some() {}
        self.0.at_rest.notify_waiters();
    }

    /// Each driver begins elsewhere in the file.
    fn first(&self) -> usize {
        let name = self.0.cluster.peer().as_str();
        let sum = name
            .bytes()
            .fold(0_usize, |sum, byte| sum * 31 + usize::from(byte));
        sum % self.0.orders.len()
    }

    /// No more asks; waits until those that are under way have ended.
    pub(crate) async fn rest(&self) {
        let at_rest = self.0.at_rest.notified();
        if self.0.drives.swap(false, Ordering::Relaxed) {
            at_rest.await;
        }
    }

    /// Asks for each order until it is answered.
    pub(crate) async fn sweep(&self) -> Swept {
        let before = self.tally();
        let next = Arc::new(AtomicUsize::new(0));
        let mut lanes = JoinSet::new();
        for _ in 0..SWEEP_LANES {
            let (driver, next) = (self.clone(), next.clone());
            lanes.spawn(async move {
                let mut found = Vec::new();
                loop {
                    // Relaxed: a number that each lane gets once.
                    let order = next.fetch_add(1, Ordering::Relaxed);
                    if order >= driver.0.orders.len() {
                        return found;
                    }
                    found.push((order, driver.until_answered(order).await));
                }
            });
        }
        let mut swept = Swept {
            by: vec![None; self.0.orders.len()],
            ..Swept::default()
        };
        let mut numbers: BTreeMap<String, u16> = BTreeMap::new();
        while let Some(found) = lanes.join_next().await {
            for (order, receipt) in found.into_iter().flatten() {
                let Some(receipt) = receipt else { continue };
                let number = *numbers.entry(receipt.peer).or_insert_with_key(|peer| {
                    swept.peers.push(peer.clone());
                    (swept.peers.len() - 1) as u16
                });
                swept.by[order] = Some(number);
            }
        }
        let after = self.tally();
        swept.failures = after.failures() - before.failures();
        swept.placed = after.placed - before.placed;
        swept
    }

    async fn until_answered(&self, order: usize) -> Option<Receipt> {
        let began = Instant::now();
        loop {
            if let Some(receipt) = self.ask(order).await {
                return Some(receipt);
            }
            if began.elapsed() > SWEEP_PATIENCE {
                return None;
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }

    /// One ask, and its line in the books.
    async fn ask(&self, order: usize) -> Option<Receipt> {
        let order = &self.0.orders[order];
        self.books().offered += 1;
        let place = Place {
            order: order.clone(),
            asked_by: self.0.cluster.peer().to_string(),
        };
        let asked = match self.0.cluster.entity::<Order>(order.order_id.as_str()) {
            Ok(entity) => entity
                .ask(place)
                .within(self.0.deadline)
                .await
                .map_err(kind_of),
            Err(error) => Err(error.to_string()),
        };
        let mut books = self.books();
        match asked {
            Ok(receipt) => {
                *books.answered.entry(receipt.peer.clone()).or_default() += 1;
                books.placed += u64::from(receipt.is_new);
                debug_assert_eq!(receipt.cents, order.total_cents());
                Some(receipt)
            }
            Err(kind) => {
                *books.failed.entry(kind).or_default() += 1;
                None
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Tally> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind of error, in a word or two.
fn kind_of<M>(error: AskError<M>) -> String {
    match error {
        AskError::Full { .. } => "full",
        AskError::Dead { .. } => "dead",
        AskError::Expired { .. } => "expired",
        AskError::Cancelled { .. } => "cancelled",
        AskError::Panicked { .. } => "panicked",
        AskError::NoReply { .. } => "no reply",
        AskError::NoRoom { .. } => "no room there",
        AskError::PeerGone { .. } => "peer gone",
        AskError::Unreachable { .. } => "unreachable",
        AskError::NotExported { .. } => "not exported",
        AskError::TooLarge { .. } => "too large",
        AskError::Overloaded { .. } => "overloaded",
        _ => "other",
    }
    .to_owned()
}

/// Whether the handler may have run, though the asker heard this.
pub(crate) fn is_open(kind: &str) -> bool {
    matches!(
        kind,
        "expired" | "cancelled" | "no reply" | "peer gone" | "unreachable" | "dead" | "too large"
    )
}

//! Who does the work.
//!
//! ```text
//!  Orders ── supervises ──▶ Order, Order, Order, …   one per order, spread over the NUMA nodes
//!                             │ charge (deadline and trace of the HTTP request inherited)
//!                             ▼
//!                           Payments, Payments, …    a few desks, each with a connection to the bank
//! ```
//!
//! A handler that awaits keeps its actor busy: a desk has one payment at a time on its connection, as
//! the bank's protocol wants it. Hence several desks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{SpawnError, StopMode};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::order::Placed;

/// The book of orders: knows where each one is, and restarts those that fail.
///
/// Up to 1000 failed orders within a second are taken for bad requests; more for a fault of the
/// service: then it fails itself, all orders with it, and begins anew with an empty book.
#[derive(Actor)]
#[actor(restart = permanent, intensity = 1000, period = "1s")]
pub(crate) struct Orders {
    book: HashMap<String, ActorRef<Order>>,
    desks: Arc<[ActorRef<Payments>]>,
    next_desk: usize,
}

impl Orders {
    pub(crate) fn new(desks: Arc<[ActorRef<Payments>]>) -> Self {
        Self {
            book: HashMap::new(),
            desks,
            next_desk: 0,
        }
    }
}

#[messages]
impl Orders {
    /// Starts an actor for the order.
    #[message]
    pub(crate) fn place(
        &mut self,
        placed: Placed,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorRef<Order>, PlaceError> {
        let entry = match self.book.entry(placed.order_id.clone()) {
            Entry::Occupied(taken) => return Err(PlaceError::Duplicate(taken.key().clone())),
            Entry::Vacant(entry) => entry,
        };
        self.next_desk = (self.next_desk + 1) % self.desks.len();
        let desk = self.desks[self.next_desk];
        let placed = Arc::new(placed);
        let order = cx
            // Called again after a panic: the order begins at `Placed`, at the same address.
            .actor(move || Order {
                placed: placed.clone(),
                desk,
                state: State::Placed,
                receipt: None,
            })
            .spawn()
            .map_err(PlaceError::Spawn)?;
        Ok(*entry.insert(order))
    }

    /// Where the order is.
    #[message]
    pub(crate) fn find(&self, order_id: String) -> Option<ActorRef<Order>> {
        self.book.get(&order_id).copied()
    }

    /// Takes the order off the book; its actor ends after what it has accepted. Whether there was one.
    #[message]
    pub(crate) fn remove(&mut self, order_id: String) -> bool {
        let order = self.book.remove(&order_id);
        if let Some(order) = order {
            order.stop_with(StopMode::Drain);
        }
        order.is_some()
    }
}

/// Why an order was not placed.
#[derive(Debug)]
pub(crate) enum PlaceError {
    Duplicate(String),
    Spawn(SpawnError),
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(id) => write!(f, "order {id} exists already"),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

/// One order, from placed to shipped.
///
/// Its state is in memory only: after a panic it is built from the order as it was placed, and a paid
/// one has to be paid again (the bank knows the payment and gives the same receipt). A service that must
/// not forget keeps a log and reads it in `started`.
#[derive(Actor)]
#[actor(mailbox = 64, overflow = reject, restart = transient, placement = spread)]
pub(crate) struct Order {
    placed: Arc<Placed>,
    desk: ActorRef<Payments>,
    state: State,
    receipt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Placed,
    Paid,
    Shipped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
        })
    }
}

/// An order as it stands, for JSON.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    #[serde(flatten)]
    placed: Placed,
    total_cents: u64,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    actor: String,
    numa_node: u8,
    /// The trace of the request, as it arrived at the actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

#[messages]
impl Order {
    /// The order as it stands.
    #[message]
    pub(crate) fn look(&self, cx: &ActorContext<Self>) -> View {
        View {
            placed: Placed::clone(&self.placed),
            total_cents: self.placed.total_cents(),
            state: self.state,
            receipt: self.receipt.clone(),
            actor: cx.id().to_string(),
            numa_node: cx.numa_node().0,
            trace_id: cx
                .context()
                .trace()
                .map(|trace| trace.trace_id().to_string()),
        }
    }

    /// Pays by asking a payments desk. No time is given: what is left of the request's deadline counts.
    #[message]
    pub(crate) async fn pay(&mut self, cx: &mut ActorContext<Self>) -> Result<View, OrderError> {
        self.expect(State::Placed, "pay")?;
        let charge = self
            .desk
            .charge(self.placed.order_id.clone(), self.placed.total_cents());
        match charge.await {
            Ok(Ok(receipt)) => self.receipt = Some(receipt),
            Ok(Err(error)) => return Err(OrderError::Payment(error)),
            Err(error) => return Err(OrderError::Desk(error.without_message())),
        }
        self.state = State::Paid;
        Ok(self.look(cx))
    }

    /// Ships what was paid.
    #[message]
    pub(crate) fn ship(&mut self, cx: &mut ActorContext<Self>) -> Result<View, OrderError> {
        self.expect(State::Paid, "ship")?;
        self.state = State::Shipped;
        Ok(self.look(cx))
    }

    /// Fails on purpose, as a handler with a bug would.
    #[message]
    pub(crate) fn poison(&mut self) {
        panic!("{POISON} for order {}", self.placed.order_id);
    }
}

/// How the text of the deliberate panic begins.
pub(crate) const POISON: &str = "poison";

impl Order {
    fn expect(&self, state: State, action: &'static str) -> Result<(), OrderError> {
        if self.state == state {
            return Ok(());
        }
        Err(OrderError::Conflict {
            action,
            state: self.state,
            needs: state,
        })
    }
}

/// Why an order did not do what it was told.
#[derive(Debug)]
pub(crate) enum OrderError {
    Conflict {
        action: &'static str,
        state: State,
        needs: State,
    },
    Payment(PaymentError),
    Desk(AskError<()>),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict {
                action,
                state,
                needs,
            } => {
                write!(
                    f,
                    "cannot {action}: the order is {state}, and must be {needs}"
                )
            }
            Self::Payment(error) => error.fmt(f),
            Self::Desk(error) => write!(f, "payment: {error}"),
        }
    }
}

/// A desk that pays: keeps a connection to the bank, one payment at a time.
#[derive(Actor)]
#[actor(restart = permanent, placement = spread)]
pub(crate) struct Payments {
    bank: SocketAddr,
    /// Absent before the first payment and after a payment that did not end well: its answer might
    /// still come, and be taken for the next one's.
    line: Option<BufReader<TcpStream>>,
}

/// How long a payment may take if nobody set a deadline.
const PATIENCE: Duration = Duration::from_secs(2);

impl Payments {
    pub(crate) const fn new(bank: SocketAddr) -> Self {
        Self { bank, line: None }
    }
}

#[messages]
impl Payments {
    /// Charges an order and gives the receipt.
    #[message]
    pub(crate) async fn charge(
        &mut self,
        order_id: String,
        cents: u64,
        cx: &mut ActorContext<Self>,
    ) -> Result<String, PaymentError> {
        let (bank, line) = (self.bank, self.line.take());
        // The line is inside the call: if time runs out it is dropped, and closed, with it.
        let call = async move {
            let mut line = match line {
                Some(line) => line,
                None => {
                    let line = TcpStream::connect(bank).await?;
                    line.set_nodelay(true)?;
                    BufReader::new(line)
                }
            };
            line.write_all(format!("{order_id} {cents}\n").as_bytes())
                .await?;
            let mut receipt = String::new();
            if line.read_line(&mut receipt).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            Ok((receipt.trim_end().to_owned(), line))
        };
        let patience = cx.remaining().unwrap_or(PATIENCE);
        match tokio::time::timeout(patience, call).await {
            Ok(Ok((receipt, line))) => {
                self.line = Some(line);
                Ok(receipt)
            }
            Ok(Err(error)) => Err(PaymentError::Bank(error)),
            Err(_) => Err(PaymentError::Late(patience)),
        }
    }
}

/// Why a payment did not go through.
#[derive(Debug)]
pub(crate) enum PaymentError {
    Late(Duration),
    Bank(io::Error),
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(patience) => write!(
                f,
                "the bank did not answer within {patience:.1?}; pay again, nobody is charged twice"
            ),
            Self::Bank(error) => write!(f, "the bank cannot be reached: {error}; pay again later"),
        }
    }
}

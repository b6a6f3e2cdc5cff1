//! Moving in: claiming a cell, laying down the state, joining the family.

use std::ptr::NonNull;
use std::sync::Arc;

use super::extra::{Cause, Extra, Factory};
use super::family::{Listed, Spec};
use super::header::{CellRef, Flags, Home, Owned, Phase, RestartPolicy};
use super::names::{Kind, Vacant};
use super::observe::{self, Event};
use super::runtime::Runtime;
use super::sequence;
use super::signal::{Signal, SignalKind};
use super::stash::STASH_CAPACITY;
use super::vtable::ActorVtable;
use crate::id::{ActorId, NumaNodeId};
use crate::locality::Placement;
use crate::mailbox::ledger::Count;
use crate::mailbox::{Mailbox, Overflow};
use crate::memory::{self, Purpose};
use crate::probes;
use crate::scheduler::{Hint, NoBooth, Reservation};
use crate::supervision::{Backoff, OnPanic, Shutdown, Supervision};

/// All that a new actor is made of, but its state.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) vtable: &'static ActorVtable,
    pub(crate) numa_index: usize,
    /// On a thread of its own.
    pub(crate) dedicated: bool,
    /// For its subtree.
    pub(crate) children_placement: Option<Placement>,
    pub(crate) mailbox: Mailbox,
    pub(crate) restart: RestartPolicy,
    pub(crate) backoff: Backoff,
    pub(crate) supervision: Supervision,
    pub(crate) name: Option<Arc<str>>,
    /// It starts when its elder siblings are up. Only a child that is spawned from a factory.
    pub(crate) held: bool,
    pub(crate) trap_links: bool,
    pub(crate) stash: usize,
    /// A name to hold from the first moment.
    pub(crate) registered: Option<(Arc<str>, Kind)>,
    pub(crate) shutdown: Shutdown,
    pub(crate) on_panic: OnPanic,
    pub(crate) significant: bool,
    /// What its start is a part of.
    pub(crate) cause: Option<Cause>,
}

/// Where its state comes from.
pub(crate) enum Origin<'a> {
    /// Written now; the actor cannot be restarted.
    Value(&'a mut dyn FnMut(*mut u8)),
    /// Built on the actor's own worker, at the first start and at each restart.
    Factory(Factory),
}

/// Why there is no new actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpawnFailure {
    /// The system is shutting down.
    Closed,
    /// The parent is stopping.
    ParentStopping,
    /// Another live actor holds the name.
    NameTaken(ActorId),
    /// The address space for cells is used up.
    NoCells,
    /// No thread for it alone on that NUMA node.
    NoThread(NumaNodeId, NoBooth),
}

/// Spawns an actor: under `parent`, whose owner the caller must be, or under the root.
///
/// # Safety
///
/// If `parent` is given, the caller owns that cell, and the value matches the vtable.
pub(crate) unsafe fn spawn(
    runtime: &'static Runtime,
    parent: Option<CellRef>,
    birth: Birth,
    origin: Origin<'_>,
) -> Result<ActorId, SpawnFailure> {
    if let Some(parent) = parent {
        // SAFETY: H2, by the caller.
        if unsafe { parent.is_stopping() } {
            return Err(SpawnFailure::ParentStopping);
        }
    } else if runtime.is_closed() && runtime.is_rooted() {
        return Err(SpawnFailure::Closed);
    }
    let room = find_room(runtime, &birth)?;
    let place = parent.map_or(Place::Top, Place::Under);
    // SAFETY: by the caller; claimed for this birth.
    Ok(unsafe { move_in(runtime, room, place, birth, origin, Flags::NONE) })
}

/// Spawns a child again from what it left at its end, in the place that was kept. Failing that the
/// specification is given back.
///
/// # Safety
///
/// The caller owns the parent, in whose list `place` is.
pub(super) unsafe fn respawn(
    parent: CellRef,
    place: CellRef,
    spec: Box<Spec>,
) -> Result<CellRef, (SpawnFailure, Box<Spec>)> {
    let runtime = parent.runtime();
    let room = match find_room(runtime, &spec.birth) {
        Ok(room) => room,
        Err(failure) => return Err((failure, spec)),
    };
    let Spec { birth, factory, .. } = *spec;
    let (instead, origin) = (Place::InsteadOf(place, parent), Origin::Factory(factory));
    // SAFETY: by the caller; claimed for this birth.
    let id = unsafe { move_in(runtime, room, instead, birth, origin, Flags::REPORT_START) };
    Ok(CellRef::of(id))
}

/// Where a new actor hangs.
enum Place {
    Top,
    Under(CellRef),
    /// In the list of the second, where the first was.
    InsteadOf(CellRef, CellRef),
}

/// A cell for an actor, and what else it needs before it can be one.
struct Room<'a> {
    vacant: Option<Vacant<'a>>,
    thread: Option<Reservation>,
    cell: CellRef,
}

fn find_room(runtime: &'static Runtime, birth: &Birth) -> Result<Room<'static>, SpawnFailure> {
    // Before anything is claimed, and kept until the actor has its identity. Dropped before the birth and
    // the factory are, which hold user values.
    let vacant = match &birth.registered {
        Some((name, kind)) => Some(
            runtime
                .names()
                .vacant(name, *kind)
                .map_err(SpawnFailure::NameTaken)?,
        ),
        None => None,
    };
    let arena = runtime.arena(birth.numa_index);
    let capacity = birth.mailbox.inbox_capacity();
    let thread = if birth.dedicated {
        let scheduler = runtime.scheduler();
        let reserved = scheduler.reserve(birth.numa_index);
        reserved.map_err(|why| SpawnFailure::NoThread(NumaNodeId(arena), why))?
    } else {
        None
    };
    let cell = claim_cell(runtime, arena, capacity).ok_or(SpawnFailure::NoCells)?;
    Ok(Room {
        vacant,
        thread,
        cell,
    })
}

/// Lays a new actor down in its cell.
///
/// # Safety
///
/// The caller claimed the cell for this birth, and owns the parent, if there is one.
unsafe fn move_in(
    runtime: &'static Runtime,
    Room {
        vacant,
        thread,
        cell,
    }: Room<'_>,
    place: Place,
    birth: Birth,
    origin: Origin<'_>,
    flags: Flags,
) -> ActorId {
    let arena = runtime.arena(birth.numa_index);
    let capacity = birth.mailbox.inbox_capacity();
    let overflow = birth.mailbox.overflow_policy();
    let home = Home {
        arena,
        numa_index: birth.numa_index as u8,
        drop_newest: overflow == Overflow::DropNewest && capacity != 0,
        no_wait: overflow != Overflow::Wait,
        dedicated: thread.is_some(),
    };
    let family = match place {
        Place::Under(parent) | Place::InsteadOf(_, parent) => Some(parent),
        Place::Top => runtime.is_rooted().then(|| runtime.root()),
    };
    let state = alloc_state(arena, birth.vtable);
    let mut owned = Owned::new(state, birth.restart, capacity);
    owned.flags.set(flags);
    let factory = match origin {
        Origin::Value(write) => {
            write(state);
            owned.flags.set(Flags::STATE);
            None
        }
        Origin::Factory(factory) => Some(factory),
    };
    let drop_oldest = overflow == Overflow::DropOldest && capacity != 0;
    if drop_oldest {
        owned.flags.set(Flags::DROP_OLDEST);
    }
    if family.is_none() {
        owned.flags.set(Flags::ROOT);
    }
    if birth.vtable.proxy.is_some() {
        owned.flags.set(Flags::PROXY);
    }
    if birth.on_panic == OnPanic::Resume {
        owned.flags.set(Flags::RESUME);
    }
    let default_supervision = birth.supervision == Supervision::one_for_one();
    let name = birth.name;
    // Most children are plain: nothing of them is remembered beyond the list.
    let unlike_others = name.is_some() || birth.shutdown != Shutdown::DEFAULT || birth.significant;
    let listed = unlike_others.then(|| {
        Box::new(Listed {
            name: name.clone(),
            registered: birth.registered.clone(),
            shutdown: birth.shutdown,
            significant: birth.significant,
            ..Listed::default()
        })
    });
    if factory.is_some()
        || name.is_some()
        || birth.registered.is_some()
        || birth.trap_links
        || drop_oldest
        || birth.stash != STASH_CAPACITY
        || !default_supervision
        || birth.held
        || birth.children_placement.is_some()
        || birth.cause.is_some()
    {
        let mut extra = Extra::alloc(arena);
        extra.factory = factory;
        extra.trap_links = birth.trap_links;
        extra.stash.capacity = birth.stash;
        extra.name.clone_from(&name);
        extra.names.extend(birth.registered.map(|(name, _)| name));
        extra.backoff = birth.backoff;
        extra.supervision = birth.supervision;
        extra.children_placement = birth.children_placement;
        extra.mailbox = birth.mailbox;
        extra.keep_newest = capacity / 2;
        extra.cause = birth.cause;
        if birth.held {
            owned.phase = Phase::BackingOff;
            owned.flags.set(Flags::REPORT_START);
            extra.restart_at = sequence::NEVER;
        }
        owned.extra = extra.into_raw();
    }
    // SAFETY: claimed by the caller.
    unsafe { cell.occupy(&home, runtime, birth.vtable, family, owned) };
    if let Some(thread) = thread {
        thread.let_to(cell.task());
    }
    let id = cell.id();
    if let Some(vacant) = vacant {
        vacant.hold(id);
    }
    if let Some(name) = &name {
        runtime.labels().insert(id, name.clone());
    }
    match (place, family) {
        // SAFETY: the caller owns the parent; the child is not linked anywhere yet.
        (Place::Under(parent), _) => unsafe {
            parent.link_child(cell);
            if birth.held {
                parent.hold_child(cell);
            }
            if let Some(listed) = listed {
                parent.enroll(cell, *listed);
            }
        },
        // SAFETY: as above, and the place is in the parent's list.
        (Place::InsteadOf(place, parent), _) => unsafe {
            parent.link_in_place(place, cell);
            if let Some(listed) = listed {
                parent.enroll(cell, *listed);
            }
        },
        // The root links it when it comes to the signal; a child's own signals come after this one.
        (Place::Top, Some(root)) => {
            // The root looks nobody up by name.
            let listed = listed.filter(|listed| listed.shutdown != Shutdown::DEFAULT);
            root.signal(Signal::to(
                root,
                SignalKind::Adopt {
                    child: cell,
                    listed,
                },
            ));
        }
        (Place::Top, None) => runtime.set_root(cell),
    }
    runtime.count(Count::Spawned, 1);
    probes::spawn(id, birth.vtable.type_name, family.map(CellRef::id));
    observe::see(runtime, || Event::Spawned {
        actor: id,
        parent: family.map(CellRef::id),
        actor_type: (birth.vtable.type_name)(),
        name: name.as_deref(),
    });
    cell.schedule(Hint::Back);
    id
}

impl CellRef {
    /// Where its children live that do not say where, if its subtree was told.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn children_placement(self) -> Option<Placement> {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }.and_then(|extra| extra.children_placement)
    }
}

/// A cell that is ours alone: its word shows neither idle nor scheduled.
fn claim_cell(runtime: &Runtime, arena: u8, capacity: u32) -> Option<CellRef> {
    let mut passed = Vec::new();
    let claimed = loop {
        let kept = observe::kept_cell(runtime, arena);
        let Some(raw) = kept.or_else(|| memory::alloc_cell(arena).map(|(raw, _)| raw)) else {
            break None;
        };
        let cell = CellRef::from_raw(raw);
        // The CAS comes first: it touches a fresh page by writing. A read would map the kernel's zero
        // page, and the write after it fault once more and interrupt every other CPU (measured: 770 ns
        // per spawn instead of 310).
        if cell.inbox().claim(capacity) {
            break Some(cell);
        }
        if cell.generation() == 0 {
            // SAFETY: generation 0: never lived in, so nobody has heard of it.
            unsafe { cell.inbox().claim_fresh(capacity) };
            break Some(cell);
        }
        // A stale message is being turned into a dead letter there right now.
        passed.push((raw, kept.is_some()));
    };
    for (raw, was_kept) in passed {
        // To where it came from: a cell that another system has left must not get among a simulated
        // system's own, whose choice is to be foreseeable.
        // SAFETY: allocated above, not claimed.
        unsafe {
            if was_kept {
                free_cell(runtime, raw, arena);
            } else {
                memory::free_cell(raw, arena);
            }
        }
    }
    claimed
}

/// Gives a cell back.
///
/// # Safety
///
/// It came from `memory::alloc_cell` of that arena, and nobody lives in it or will before it is
/// allocated again.
pub(super) unsafe fn free_cell(runtime: &Runtime, cell: NonNull<u8>, arena: u8) {
    if !observe::keeps_cell(runtime, cell, arena) {
        // SAFETY: by the caller.
        unsafe { memory::free_cell(cell, arena) };
    }
}

pub(super) fn alloc_state(arena: u8, vtable: &'static ActorVtable) -> *mut u8 {
    if vtable.layout.size() == 0 {
        return std::ptr::without_provenance_mut(vtable.layout.align());
    }
    memory::alloc(arena, vtable.class, vtable.layout, Purpose::Runtime)
        .map_or(std::ptr::null_mut(), NonNull::as_ptr)
}

/// Gives a state block back; the value in it is gone.
///
/// # Safety
///
/// `state` came from `alloc_state` with the same arguments.
pub(super) unsafe fn free_state(arena: u8, vtable: &'static ActorVtable, state: *mut u8) {
    if vtable.layout.size() == 0 {
        return;
    }
    if let Some(state) = NonNull::new(state) {
        // SAFETY: by the caller.
        unsafe { memory::free(state, arena, vtable.class, vtable.layout) };
    }
}

//! Lifecycle signals of a peer: it watches actors here, tells of ends there, passes on that links are broken
//! and that actors are to stop.
//!
//! Every proxy watches its actor from the beginning: it ends when the actor does, and whoever watches or is
//! linked with the proxy hears it from that, once, as of any actor. So one watch goes over the wire for each
//! actor that is known elsewhere, however many watch it there; and links need no word of their own: that one
//! side of a link has failed goes to the other when it happens (`Exit`).
//!
//! An address with a wrong key is answered as that of an actor that is gone.

use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use actor_core::{StopMode, StopReason};

use super::association::{Association, lock};
use super::farewell::Farewell;
use super::fate::{end_of, mode_of, reason_of};
use crate::wire::message::Address;
use crate::wire::signal::{Signal, SignalKind};

impl Association {
    /// A signal has come. Each comes once.
    pub(super) fn take_signal(self: &Arc<Self>, signal: Signal) {
        let Signal { from, to, kind } = signal;
        match kind {
            SignalKind::Watch => self.is_watched(to, from),
            SignalKind::Unwatch => self.is_watched_no_more(to, from),
            SignalKind::Terminated(end) => self.actor_ended(from, reason_of(&end), end.marked),
            SignalKind::Exit(end) => self.link_broken(to, from, reason_of(&end)),
            SignalKind::Stop { mode } => self.stop_here(to, mode),
            // See above: what they would say is said when it is needed.
            SignalKind::Link | SignalKind::Unlink => {}
        }
    }

    /// The peer wants to hear of the end of an actor here.
    fn is_watched(self: &Arc<Self>, watched: Address, watcher: Address) {
        if !self.own.is_ours(watched) {
            self.signal(Signal {
                from: watched,
                to: watcher,
                kind: SignalKind::Terminated(end_of(&StopReason::NotFound, false)),
            });
            return;
        }
        let Some(actor) = self.own.system.resolve_anyone(watched.id) else {
            // It may have ended a moment ago, faster than the watch came, and what it sent be on its way.
            let reason = StopReason::NotFound;
            self.farewell(Farewell {
                watched,
                watcher,
                reason,
            });
            return;
        };
        // Asked for now, and not by the task: of a stop that comes behind the watch the reason is known then.
        let mut ended = Box::pin(actor.terminated());
        let polled = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // Under the lock, so that an end that comes at once finds what it takes out.
        let mut watches = lock(&self.watches);
        let Entry::Vacant(place) = watches.entry((watched.id, watcher)) else {
            return;
        };
        let association = Arc::downgrade(self);
        let watch = self.own.system.tokio().spawn(async move {
            let reason = match polled {
                Poll::Ready(reason) => reason,
                Poll::Pending => ended.await,
            };
            let Some(association) = association.upgrade() else {
                return;
            };
            let is_wanted = lock(&association.watches)
                .remove(&(watched.id, watcher))
                .is_some();
            if is_wanted {
                association.farewell(Farewell {
                    watched,
                    watcher,
                    reason,
                });
            }
        });
        place.insert(watch.abort_handle());
    }

    fn is_watched_no_more(&self, watched: Address, watcher: Address) {
        let watch = lock(&self.watches).remove(&(watched.id, watcher));
        if let Some(watch) = watch {
            watch.abort();
        }
    }

    /// An actor there has failed, which was linked there with the proxy of one here.
    fn link_broken(self: &Arc<Self>, linked: Address, failed: Address, reason: StopReason) {
        let living = Some(linked)
            .filter(|linked| self.own.is_ours(*linked))
            .and_then(|linked| self.own.system.resolve_anyone(linked.id));
        let Some(actor) = living else {
            return;
        };
        match self.proxy(failed) {
            Ok(proxy) => actor.link_broken(&proxy, reason),
            Err(error) => {
                tracing::warn!(peer = %self.peer, %error, "a broken link was not passed on");
            }
        }
    }

    /// The peer wants an actor here to stop.
    fn stop_here(&self, target: Address, mode: u8) {
        let Some(mode) = mode_of(mode).filter(|_| self.own.settings.stops) else {
            self.own.books.stops_refused.one_more();
            tracing::warn!(peer = %self.peer, "a stop from a peer was not followed");
            return;
        };
        if !self.own.is_ours(target) || mode == StopMode::Drain && self.held.stop_behind(target.id)
        {
            return;
        }
        self.stop_now(target.id, mode);
    }

    /// Of an address that was looked at.
    pub(super) fn stop_now(&self, number: u64, mode: StopMode) {
        if let Some(actor) = self.own.system.resolve_anyone(number) {
            actor.stop_for_elsewhere(mode);
        }
    }
}

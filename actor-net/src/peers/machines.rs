//! The two machines of the wire, as ports drive them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::peer::Peer;
use super::port::{Machine, Notice, Port};
use crate::wire::control::{Control, ControlEvent};
use crate::wire::error::{CloseReason, WireError};
use crate::wire::lane::{Lane, LaneEvent};

macro_rules! machine {
    ($machine:ident, $event:ident, $port:expr, $hear:path) => {
        impl Machine for $machine {
            type Event = $event;

            fn port(peer: &Peer, at: usize) -> &Port<Self> {
                $port(peer, at)
            }

            fn hear(peer: &Arc<Peer>, at: usize, notices: &mut VecDeque<Notice<$event>>) {
                $hear(peer, at, notices);
            }

            fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), WireError> {
                $machine::receive(self, bytes, now)
            }

            fn tick(&mut self, now: Instant) -> Result<(), WireError> {
                $machine::tick(self, now)
            }

            fn poll_timeout(&self) -> Option<Instant> {
                $machine::poll_timeout(self)
            }

            fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, budget: usize) {
                $machine::transmit(self, now, out, budget);
            }

            fn poll_event(&mut self) -> Option<$event> {
                $machine::poll_event(self)
            }

            fn backlog(&self) -> usize {
                $machine::backlog(self)
            }

            fn close(&mut self, reason: CloseReason) {
                $machine::close(self, reason);
            }

            fn disconnect(&mut self) {
                let _ = $machine::disconnect(self);
            }
        }
    };
}

machine!(
    Control,
    ControlEvent,
    Peer::control_port,
    Peer::hear_control
);
machine!(Lane, LaneEvent, Peer::lane_port, Peer::hear_lane);

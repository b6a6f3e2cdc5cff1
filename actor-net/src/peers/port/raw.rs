//! What only tests do with a port.

use super::{Machine, Port};
use crate::transport::Link;

impl<M: Machine> Port<M> {
    /// Sends what the machine never would.
    pub(in crate::peers) fn say_raw(&self, bytes: &[u8]) {
        let link = self.lock().connection.as_ref().map(|it| it.link.clone());
        let link = link.expect("it is connected");
        link.queue(bytes).expect("there is room");
        link.flush();
    }

    /// How many connections it has had.
    pub(in crate::peers) fn links(&self) -> u64 {
        self.lock().links
    }
}

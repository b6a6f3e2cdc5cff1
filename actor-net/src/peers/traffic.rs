//! What has gone to a peer and come from it, counted where it goes by anyway: under the lock of a port, or once for
//! all that is told in a row.

/// Of one life of a peer, over all of its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Messages and answers that were taken to be sent.
    pub(crate) messages_out: u64,
    /// Messages and answers that came.
    pub(crate) messages_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    /// Messages that wait to be sent, answers not among them.
    pub(crate) queued: u64,
}

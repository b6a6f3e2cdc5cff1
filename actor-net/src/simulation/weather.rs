//! How good the network is.

use std::time::Duration;

/// What happens to datagrams and connections without anybody's doing.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// A datagram takes from so long ...
    pub(crate) delay_min: Duration,
    /// ... to so long.
    pub(crate) delay_max: Duration,
    /// Percent of datagrams that do not arrive. A connection of ours loses none while it lasts.
    pub(crate) loss: u64,
    /// Percent of datagrams that arrive twice. A connection of ours never does that.
    pub(crate) duplication: u64,
    /// Whether a later datagram may overtake an earlier one. On a connection of ours none does.
    pub(crate) reorder: bool,
    /// Percent of what is under way when a connection breaks that arrives nevertheless, be it after what the
    /// next connection carries.
    pub(crate) late: u64,
    /// A connection over which nothing comes is given up after so long.
    pub(crate) silence: Duration,
    /// A broken connection is dialled again so often.
    pub(crate) redial: Duration,
}

impl Weather {
    /// What the floors below promise, on a local network: 0.2 to 5 ms, nothing is lost but with its connection.
    pub(crate) fn fair() -> Self {
        Self {
            delay_min: Duration::from_micros(200),
            delay_max: Duration::from_millis(5),
            loss: 0,
            duplication: 0,
            reorder: false,
            late: 20,
            silence: Duration::from_secs(5),
            redial: Duration::from_millis(300),
        }
    }

    /// Worse than promised: 5 % lost, 2 % doubled, up to 100 ms, in any order.
    pub(crate) fn foul() -> Self {
        Self {
            delay_max: Duration::from_millis(100),
            loss: 5,
            duplication: 2,
            reorder: true,
            ..Self::fair()
        }
    }
}

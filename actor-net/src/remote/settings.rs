//! How much this floor allows, each number with its default.

use std::time::Duration;

use actor_core::Mailbox;

/// What peers may do here besides sending exported messages, and how much is kept for them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RemoteSettings {
    /// Whether a peer may stop actors here that it has a reference to. Yes: who has a reference was given it,
    /// peers are authenticated, and a stop from elsewhere is as one from here. Say no where peers are trusted
    /// less than the code in this process; a stop is then counted and not followed.
    pub stops: bool,
    /// The mailboxes of proxies: what waits here for one actor elsewhere while the network has no room. As
    /// [`Mailbox::default`]: bounded, and who awaits `send` waits.
    pub mailbox: Mailbox,
    /// References to actors of one peer that are known here at a time: more in a message make it
    /// unreadable. 262,144.
    pub proxies_max: usize,
    /// Messages of one peer that wait here for room in mailboxes without taking room of its window, so that others are not
    /// held up by actors that are full. 32,768; 0 for none.
    pub held_messages: usize,
    /// Bytes of these. 16 MiB.
    pub held_bytes: usize,
    /// How long a peer may take to be met of which a message has brought a reference: what is sent to its actors
    /// waits so long. Then they count as gone. 30 s.
    pub meet_within: Duration,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            stops: true,
            mailbox: Mailbox::default(),
            proxies_max: 262_144,
            held_messages: 32_768,
            held_bytes: 16 << 20,
            meet_within: Duration::from_secs(30),
        }
    }
}

//! References inside of messages: what the actors here are called there, and the other way round.
//!
//! An actor of ours goes as our name, our incarnation, its number and a key. The key is a keyed hash of the
//! number, made with a secret of this process: whoever has it was given the reference by somebody, and nothing
//! has to be remembered for it. An actor elsewhere goes as the address that it came by, wherever to; so a
//! reference that was passed on reaches its actor directly, and one that comes home is the actor itself.

use std::any::TypeId;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use actor_core::ActorId;
use actor_core::remote::{Address, Addressing, CodecError, with_addressing};

use super::association::Association;

/// References on the link of one association.
struct Link(Weak<Association>);

impl Addressing for Link {
    fn address_of(&self, actor: ActorId) -> Result<Address, CodecError> {
        Ok(self.association()?.own.address_of(actor))
    }

    fn actor_at(&self, address: &Address, actor_type: TypeId) -> Result<ActorId, CodecError> {
        self.association()?.own.actor_at(address, actor_type)
    }
}

impl Link {
    fn association(&self) -> Result<Arc<Association>, CodecError> {
        self.0
            .upgrade()
            .ok_or_else(|| CodecError::new("the network layer has ended"))
    }
}

thread_local! {
    /// That of the last message on this thread: mostly the next one is of the same link.
    static LAST: RefCell<Option<Rc<Link>>> = const { RefCell::new(None) };
}

/// Runs `work`, which writes or reads messages on a link.
pub(super) fn on_link<T>(association: &Arc<Association>, work: impl FnOnce() -> T) -> T {
    let known = LAST.with(|last| last.borrow().clone());
    let link = match known {
        Some(link) if std::ptr::eq(link.0.as_ptr(), Arc::as_ptr(association)) => link,
        _ => {
            let link = Rc::new(Link(Arc::downgrade(association)));
            LAST.with(|last| *last.borrow_mut() = Some(link.clone()));
            link
        }
    };
    with_addressing(link, work)
}

//! Unique names by what all peers agree on: the store of one life.

use actor_core::ActorId;
use actor_core::remote::Address;

use super::name_error::NoAnswer;
use super::names::{Answer, Claimed, Holder, NameStore};
use crate::consensus::{Command, Consensus, NameAddress, ProposeError, Refusal};
use crate::id::{Incarnation, Life};
use crate::remote::Remote;

/// See the module.
pub(crate) struct Agreed {
    consensus: Consensus,
    remote: Remote,
    own: Life,
}

impl Agreed {
    pub(crate) const fn new(own: Life, consensus: Consensus, remote: Remote) -> Self {
        Self {
            consensus,
            remote,
            own,
        }
    }

    /// Of an actor of this process, in whichever of its lives.
    fn address(&self, actor: &Address) -> NameAddress {
        NameAddress {
            life: Life {
                peer: self.own.peer.clone(),
                incarnation: Incarnation(actor.incarnation),
            },
            number: actor.number,
            key: actor.key,
        }
    }
}

impl NameStore for Agreed {
    fn address_of(&self, actor: ActorId) -> Address {
        self.remote.address_of(actor)
    }

    fn claim(&self, name: &str, actor: &Address, actor_type: &str) -> Answer<Claimed> {
        let consensus = self.consensus.clone();
        let command = Command::ClaimName {
            name: name.to_owned(),
            address: self.address(actor),
            actor_type: actor_type.to_owned(),
        };
        Box::pin(async move {
            match consensus.propose(command).await {
                Ok(applied) => Ok(Claimed::Yours {
                    epoch: applied.version,
                }),
                Err(ProposeError::Refused(Refusal::NameTaken { by, .. })) => {
                    Ok(Claimed::Taken(Holder::from(&*by)))
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn release(&self, name: &str, actor: &Address) -> Answer<bool> {
        let consensus = self.consensus.clone();
        let command = Command::ReleaseName {
            name: name.to_owned(),
            address: self.address(actor),
        };
        Box::pin(async move {
            match consensus.propose(command).await {
                Ok(_) => Ok(true),
                Err(ProposeError::Refused(Refusal::NotTheOwner { .. })) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn lookup(&self, name: &str) -> Answer<Option<Holder>> {
        let consensus = self.consensus.clone();
        let name = name.to_owned();
        Box::pin(async move {
            let authority = consensus.read().await?;
            Ok(authority.name(&name).map(Holder::from))
        })
    }
}

impl From<ProposeError> for NoAnswer {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NoQuorum {
                uncertain: false, ..
            } => Self::NoMajority,
            ProposeError::Busy { max } => Self::Busy { max },
            ProposeError::Refused(Refusal::Full { max, .. }) => Self::Full { max },
            ProposeError::Stopped(_)
            | ProposeError::Refused(Refusal::NotAMember { .. } | Refusal::LifeIsOver { .. }) => {
                Self::NotAMember
            }
            // Nothing else is refused that names ask for; to ask again is right whatever it was.
            ProposeError::NoQuorum { .. }
            | ProposeError::Refused(_)
            | ProposeError::TooLarge { .. } => Self::Unknown,
        }
    }
}

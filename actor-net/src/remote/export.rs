//! Messages as bytes: postcard, a format without names and without padding, in which a small message is
//! about as small as its values.
//!
//! What is read comes from a stranger: all of the bytes must be used up, or the two sides do not mean the
//! same type; and it may neither nest without end nor announce what its bytes cannot hold (`wire::bounded`).

use actor_core::Message;
use actor_core::remote::{CodecError, Export};
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema;
use crate::wire::bounded;

/// How `M` travels, under a name that all builds share: for [`Message::EXPORT`]. `#[message(remote)]` writes
/// that.
///
/// # Examples
///
/// ```
/// use actor_core::Message;
/// use actor_core::remote::Export;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Deposit { cents: i64 }
///
/// impl Message for Deposit {
///     type Reply = i64;
///     const EXPORT: Option<Export<Self>> = Some(actor_net::export("bank.deposit"));
/// }
/// ```
pub const fn export<M>(name: &'static str) -> Export<M>
where
    M: Message + Serialize + DeserializeOwned,
    M::Reply: Serialize + DeserializeOwned,
{
    Export {
        name,
        schema: schema::of::<M, M::Reply>,
        encode: write,
        decode: read,
        encode_reply: write,
        decode_reply: read,
    }
}

pub(super) fn write<T: Serialize>(value: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    postcard::serialize_with_flavor(value, Append(bytes)).map_err(CodecError::new)
}

/// Behind what is there already.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Most of what is written are numbers: a copy of known length is an instruction, any other a call.
        match bytes.first_chunk::<8>() {
            Some(number) if bytes.len() == 8 => self.0.extend_from_slice(number),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut format = postcard::Deserializer::from_bytes(bytes);
    let value = bounded::read(&mut format, bytes.len()).map_err(CodecError::new)?;
    let rest = format.finalize().map_err(CodecError::new)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(CodecError::new(format_args!(
            "{} of {} bytes are left over: the sides do not mean the same type",
            rest.len(),
            bytes.len()
        )))
    }
}

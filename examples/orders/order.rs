//! What an order is, and which orders are accepted: one set of rules for HTTP and for the input file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An order as the customer placed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placed {
    /// Chosen by the client, so that placing an order twice is found out.
    pub(crate) order_id: String,
    pub(crate) customer: String,
    pub(crate) item: String,
    pub(crate) quantity: u32,
    pub(crate) price_cents: u64,
}

pub(crate) const ORDER_ID_BYTES_MAX: usize = 64;
pub(crate) const TEXT_BYTES_MAX: usize = 256;
pub(crate) const QUANTITY_MAX: u32 = 1_000_000;
pub(crate) const PRICE_CENTS_MAX: u64 = 1_000_000_000;

impl Placed {
    /// What the customer pays. Cannot overflow for an order that `check` accepts.
    pub(crate) fn total_cents(&self) -> u64 {
        u64::from(self.quantity).saturating_mul(self.price_cents)
    }

    /// Refuses what nobody can mean.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let id = &self.order_id;
        // These characters go into a URL as they are.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if id.is_empty() || id.len() > ORDER_ID_BYTES_MAX || !id.bytes().all(plain) {
            return Err(Invalid::OrderId(id.clone()));
        }
        for (field, text) in [("customer", &self.customer), ("item", &self.item)] {
            if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
                return Err(Invalid::Text {
                    field,
                    bytes: text.len(),
                });
            }
        }
        if !(1..=QUANTITY_MAX).contains(&self.quantity) {
            return Err(Invalid::Quantity(self.quantity));
        }
        if !(1..=PRICE_CENTS_MAX).contains(&self.price_cents) {
            return Err(Invalid::Price(self.price_cents));
        }
        Ok(())
    }
}

/// Why an order is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    OrderId(String),
    Text { field: &'static str, bytes: usize },
    Quantity(u32),
    Price(u64),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Shortened and escaped: it is what somebody sent us, and goes to logs and terminals.
            Self::OrderId(id) => write!(
                f,
                "order_id {:?} is not 1 to {ORDER_ID_BYTES_MAX} of the characters A-Z a-z 0-9 - . _ ~",
                id.chars().take(ORDER_ID_BYTES_MAX).collect::<String>()
            ),
            Self::Text { field, bytes } => {
                write!(
                    f,
                    "{field} of {bytes} bytes: 1 to {TEXT_BYTES_MAX} are allowed, not only blanks"
                )
            }
            Self::Quantity(n) => write!(f, "quantity {n} is not 1 to {QUANTITY_MAX}"),
            Self::Price(cents) => write!(f, "price_cents {cents} is not 1 to {PRICE_CENTS_MAX}"),
        }
    }
}

impl std::error::Error for Invalid {}

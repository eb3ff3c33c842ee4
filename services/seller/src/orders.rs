//! Orders: what a parcel's address is, read from the Secrets a Seller names. Pure: bytes in, a book and its faults out.
//!
//! Trust: content is personal. It lives in [`Private`], which shows nothing in a log; a fault names the Secret and the
//! key and which of our own fields is wrong, never a value, and never the words of a parser, which would quote one.

mod book;
mod private;

use std::collections::BTreeMap;

pub use book::{Book, Fault, FaultCause, Source};
pub use private::Private;
/// Longest field in bytes (D-70): what is longer could not be sent.
pub use waybill_protocol::MAX_FIELD;

/// Longest value of one key: all fields at their longest, and room for quoting.
pub const MAX_ORDER: usize = 64 << 10;
/// A salt that others could guess keeps nothing apart.
pub const MIN_SALT: usize = 16;

/// The fields of the seed (D-15), the address recipients are written to, and our own salt.
const FIELDS: [&str; 9] =
    ["country", "province", "city", "door", "clientname", "clientphone", "postalCode", "email", "salt"];

/// One parcel's address, in the parts it is released in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub country: Private,
    pub province: Private,
    pub city: Private,
    pub postal_code: Private,
    pub door: Private,
    pub client_name: Private,
    pub client_phone: Private,
    /// Where the recipient is written to: no part of the address, released to nobody, committed to by nothing.
    pub email: Option<Private>,
    /// The order's own random salt; with it an erased order leaves nothing to guess at.
    pub salt: Option<Private>,
}

/// Why a value is not an order. Names our fields, never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("is larger than {MAX_ORDER} bytes")]
    TooLarge,
    #[error("is not UTF-8 text")]
    NotText,
    #[error("is not a JSON or YAML map from fields to text")]
    NotAMap,
    #[error("has a field that is no part of an order")]
    UnknownField,
    #[error("has no field {0}")]
    Missing(&'static str),
    #[error("has an empty field {0}")]
    Empty(&'static str),
    #[error("has a field {0} longer than {MAX_FIELD} bytes")]
    TooLong(&'static str),
    #[error("has control characters in field {0}")]
    Control(&'static str),
    #[error("has a salt shorter than {MIN_SALT} characters")]
    WeakSalt,
}

/// Reads the value of one key: JSON, or YAML, of which JSON is a part. Numbers keep the text they are written with, so
/// a postal code keeps its leading zero.
pub fn parse(value: &[u8]) -> Result<Order, Malformed> {
    if value.len() > MAX_ORDER {
        return Err(Malformed::TooLarge);
    }
    let text = std::str::from_utf8(value).map_err(|_| Malformed::NotText)?;
    let mut fields: BTreeMap<String, Option<String>> = serde_saphyr::from_str(text).map_err(|_| Malformed::NotAMap)?;
    if fields.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Malformed::UnknownField);
    }
    let mut take = |name: &'static str| match fields.remove(name) {
        Some(Some(text)) => check(name, text),
        Some(None) => Err(Malformed::Empty(name)),
        None => Err(Malformed::Missing(name)),
    };
    Ok(Order {
        country: take("country")?,
        province: take("province")?,
        city: take("city")?,
        postal_code: take("postalCode")?,
        door: take("door")?,
        client_name: take("clientname")?,
        client_phone: take("clientphone")?,
        email: match take("email") {
            Ok(email) => Some(email),
            Err(Malformed::Missing(_)) => None,
            Err(malformed) => return Err(malformed),
        },
        salt: match take("salt") {
            Ok(salt) if salt.expose().chars().count() < MIN_SALT => return Err(Malformed::WeakSalt),
            Ok(salt) => Some(salt),
            Err(Malformed::Missing(_)) => None,
            Err(malformed) => return Err(malformed),
        },
    })
}

/// A field as it may be.
pub(crate) fn check(name: &'static str, text: String) -> Result<Private, Malformed> {
    if text.trim().is_empty() {
        return Err(Malformed::Empty(name));
    }
    if text.len() > MAX_FIELD {
        return Err(Malformed::TooLong(name));
    }
    // A line break is how people write addresses; anything else of the kind ends up on somebody's screen.
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Malformed::Control(name));
    }
    Ok(Private::new(text))
}

#[cfg(test)]
mod tests;

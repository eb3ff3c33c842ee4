//! One entry of the custody log, as it stands in the custom resource. What the bytes mean: `services/protocol`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most entries a log can hold.
pub const MAX_ENTRIES: usize = 256;
/// Of these, how many are kept for endings: a log with more than `MAX_ENTRIES - RESERVED` takes nothing else.
pub const RESERVED: usize = 16;
/// The most bytes a signed event may have; base64 makes [`SIGNED_MAX`] characters of them.
pub const EVENT_MAX_BYTES: usize = 4096;
/// The most characters `signed` may have.
pub const SIGNED_MAX: usize = EVENT_MAX_BYTES.div_ceil(3) * 4;
/// The event that alone changes the phase of a finished Delivery.
pub const CORRECTED: &str = "Corrected";
/// The Seller's event that opens a part of the address; it shows that the parcel was picked up.
pub const RELEASED: &str = "Released";

/// One event: what happened, signed by its author.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CustodyEntry {
    /// Who signed it: `Seller`, `Transport` (the carrier's agent) or `Person` (a declaration by a named, authorised
    /// person).
    pub author: Author,
    /// The event's number in its author's own chain.
    #[schemars(range(min = 0))]
    pub seq: i64,
    /// What happened, in one word. Example: `PickedUp`.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[A-Z][A-Za-z0-9]{0,39}$"))]
    pub event: String,
    /// When, by the author's clock: RFC 3339 in UTC with six decimals. Example: `2026-12-01T09:30:00.000000Z`.
    // No `date-time` format: rules would compare instants, and another spelling of the same instant would pass as unchanged.
    #[schemars(schema_with = "instant")]
    pub at: MicroTime,
    /// The signed event (COSE_Sign1, at most 4096 bytes) in base64. `docs/proof-format.md` specifies every byte.
    #[schemars(length(min = 1, max = SIGNED_MAX), regex(pattern = "^[A-Za-z0-9+/]+={0,2}$"))]
    pub signed: String,
    /// The event's id: the SHA-256 of what is signed, in hexadecimal.
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub id: String,
}

/// Who signed an event.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    Seller,
    Transport,
    Person,
}

impl Author {
    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "Seller",
            Self::Transport => "Transport",
            Self::Person => "Person",
        }
    }
}

fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 27,
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$",
    })
}

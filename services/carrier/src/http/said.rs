//! What is answered, as types: the description of the API is made from them.

use schemars::JsonSchema;
use serde::Serialize;
use waybill_crds::delivery::LocationSharing;

use crate::archive;
use crate::grants::{Audience, Listed};
use crate::report::Taken;
use crate::view::{Line, time_of};

/// That somebody is here.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Alive {
    pub(super) carrier: &'static str,
}

/// Some of an agent's deliveries with something left to do, by uid.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OpenDeliveries {
    pub(super) deliveries: Vec<OpenDelivery>,
    /// The `after` of the next page; null where this is the last.
    pub(super) next: Option<String>,
}

/// One of them, for the agent that carries it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenDelivery {
    pub(super) uid: String,
    pub(super) upc: String,
    pub(super) namespace: String,
    pub(super) seller_uid: String,
    pub(super) phase: &'static str,
    pub(super) attempt: u32,
    pub(super) topics: Topics,
    pub(super) expected: Expected,
    /// How exactly anybody may see where the parcel is.
    pub(super) location: LocationSharing,
}

/// Where seller and carrier talk at the broker.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Topics {
    pub(super) down: String,
    pub(super) up: String,
}

/// The number of a carrier's next event, and the id of the one it builds on.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Expected {
    pub(super) seq: u32,
    pub(super) previous: Option<String>,
}

/// The whole log as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnLog {
    /// Signed events in base64.
    pub(super) custody: Vec<String>,
    /// The statement by which its seller is known, in base64.
    pub(super) seller_statement: Option<String>,
    pub(super) location: LocationSharing,
}

/// What became of a report, and where the delivery stands then.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reported {
    pub(super) accepted: Vec<Taken>,
    pub(super) phase: &'static str,
    pub(super) stage: &'static str,
    pub(super) attempt: u32,
}

/// A picture as it is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeptPhoto {
    /// SHA-256 of what is kept, in hexadecimal.
    pub(super) hash: String,
    pub(super) size: usize,
    #[serde(rename = "type")]
    pub(super) media: &'static str,
}

/// A declaration in the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Declared {
    pub(super) id: String,
    /// Where it stands in the log, from 0.
    pub(super) position: usize,
    pub(super) new: bool,
    pub(super) fact: &'static str,
    /// The user name the cluster's authentication gives.
    pub(super) by: String,
    /// The hash of its note.
    pub(super) note: Option<String>,
    pub(super) phase: &'static str,
}

/// The text of a note.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NoteText {
    pub(super) note: String,
}

/// A new grant, shown once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Granted {
    /// For a link: a secret.
    pub(super) grant: String,
    /// Its name for those who may revoke it.
    pub(super) id: String,
    pub(super) role: Audience,
    #[schemars(extend("format" = "date-time"))]
    pub(super) expires: String,
}

/// What is granted, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Grants {
    pub(super) grants: Vec<Listed>,
    /// The `after` of the next page; null where this is the last.
    pub(super) next: Option<String>,
}

/// A token that opens one delivery for two minutes.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ViewToken {
    pub(super) token: String,
    #[schemars(extend("format" = "date-time"))]
    pub(super) expires: String,
    pub(super) upc: String,
    pub(super) url: String,
    pub(super) seller: String,
    pub(super) role: Audience,
}

/// Public keys (RFC 7517).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeySet {
    pub(crate) keys: Vec<PublicKey>,
}

/// An Ed25519 key.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PublicKey {
    pub(crate) kty: &'static str,
    pub(crate) crv: &'static str,
    pub(crate) alg: &'static str,
    #[serde(rename = "use")]
    pub(crate) usage: &'static str,
    pub(crate) kid: String,
    pub(crate) x: String,
}

/// Deliveries of the namespace, by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Shipments {
    pub(super) shipments: Vec<Line>,
    /// The `after` of the next page; null where this is the last.
    pub(super) next: Option<String>,
}

/// Archived bundles of the namespace, by uid.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Archive {
    pub(super) bundles: Vec<Archived>,
    /// The `after` of the next page; null where this is the last.
    pub(super) next: Option<String>,
}

/// One of them.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Archived {
    uid: String,
    upc: String,
    name: String,
    phase: String,
    #[schemars(extend("format" = "date-time"))]
    ended: String,
    size: u64,
    sha256: String,
}

impl From<archive::Line> for Archived {
    fn from(line: archive::Line) -> Self {
        let archive::Line { uid, upc, name, phase, ended, size, sha256, .. } = line;
        Self { uid, upc, name, phase, ended: time_of(ended), size, sha256 }
    }
}

/// What the operator has signed for an agent, and for everybody.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewed {
    /// Its certificate chain, PEM.
    pub(super) certificate: Option<String>,
    /// Its key statement in base64.
    pub(super) statement: Option<String>,
    pub(super) seller_statements: Vec<String>,
    /// The authorities, PEM.
    pub(super) bundle: Option<String>,
    pub(super) published: Vec<Published>,
}

/// A file of the operator's, with its signature.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Published {
    pub(super) name: &'static str,
    pub(super) content: String,
    pub(super) signature: String,
}

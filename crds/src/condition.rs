//! Conditions in the metav1 shape: their types, how one is set, and the schema of the list (a map by `type`, so that
//! several writers each apply their own).

pub mod reason;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use schemars::{Schema, SchemaGenerator, json_schema};

pub use reason::Reason;

/// The longest message kept; a longer one is cut.
pub const MESSAGE_MAX: usize = 1024;

macro_rules! types {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Every condition type Waybill writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ConditionType { $($(#[doc = $doc])+ $name,)+ }

        impl ConditionType {
            /// All of them, for documentation and metrics.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it stands in `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means, for documentation.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

types! {
    /// Summary: True once everything this object needs is in place. For a Delivery: both ends are provisioned.
    Ready,
    /// True while the operator is at work on a change; absent otherwise.
    Reconciling,
    /// True while the object cannot make progress by itself; absent otherwise. The message says what would help.
    Stalled,
    /// Delivery: True once it may be carried out. False says what is missing or in the way.
    Admitted,
    /// Seller and Carrier: True while certificate and key statement are valid and current.
    CertificatesIssued,
    /// Seller and Carrier: True while the pods made for it are available. Absent where it needs none.
    WorkloadReady,
    /// Seller: True while the orders can be read. False names the Secret and the key at fault, never its content.
    OrdersAvailable,
    /// Seller with `spec.notify`: True while everybody who is to be told is. False says who is not, and why.
    NotificationsDelivered,
    /// Delivery: True once a carrier's agent has accepted the job.
    Accepted,
    /// Delivery: True once both sides signed the hand-over of the parcel.
    PickedUp,
    /// Delivery: True once delivered; False once it is certain that it will not be.
    Delivered,
    /// Delivery: True once what the Delivery asks for as proof is in the log.
    Proven,
    /// Delivery with `spec.ttlAfterFinished`: True once its proof bundle is in the archive.
    Archived,
    /// Delivery: True while its Seller cannot go on by itself; absent otherwise. The message says what would help.
    Hindered,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    /// As it stands in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// What a condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub type_: ConditionType,
    pub status: Status,
    pub reason: Reason,
    /// For people: what is so, and the next step where one is needed. No personal data.
    pub message: String,
    /// The `metadata.generation` this was judged on.
    pub observed_generation: Option<i64>,
}

/// Makes the list say what is wanted; answers whether that changed anything.
///
/// `lastTransitionTime` becomes `now` only when the status flips, so an unchanged condition is the same bytes as before.
pub fn set(conditions: &mut Vec<Condition>, wanted: Wanted, now: Timestamp) -> bool {
    let fresh = Condition {
        last_transition_time: Time(now),
        message: cut(wanted.message),
        observed_generation: wanted.observed_generation,
        reason: wanted.reason.as_str().to_owned(),
        status: wanted.status.as_str().to_owned(),
        type_: wanted.type_.as_str().to_owned(),
    };
    let Some(there) = conditions.iter_mut().find(|c| c.type_ == fresh.type_) else {
        conditions.push(fresh);
        return true;
    };
    let since = if there.status == fresh.status { there.last_transition_time.clone() } else { Time(now) };
    let fresh = Condition { last_transition_time: since, ..fresh };
    let changed = *there != fresh;
    *there = fresh;
    changed
}

/// Takes a condition off the list (`Reconciling` and `Stalled` are there only while true); answers whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: ConditionType) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != type_.as_str());
    conditions.len() != before
}

/// The condition of this type.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

/// Whether the condition of this type is there and True.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == Status::True.as_str())
}

/// The schema counts characters, so does this.
fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_MAX) {
        message.truncate(end);
    }
    message
}

/// The schema of a `conditions` list. k8s-openapi's own is atomic: a forced apply would erase the other writers' entries.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One aspect of the object's state.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When the status last changed from one value to another.",
                    "type": "string",
                    "format": "date-time",
                },
                "message": {
                    "description": "For people: what is so, and the next step where one is needed.",
                    "type": "string",
                    "maxLength": MESSAGE_MAX,
                },
                "observedGeneration": {
                    "description": "The metadata.generation this was judged on; older than the object's own means stale.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "reason": {
                    "description": "For programs: one word from the documented list of reasons.",
                    "type": "string",
                    "maxLength": 64,
                    "pattern": "^[A-Z][A-Za-z0-9]*$",
                },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "type": {
                    "description": "Which aspect, such as Ready.",
                    "type": "string",
                    "maxLength": 64,
                    "pattern": "^[A-Z][A-Za-z0-9]*$",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;

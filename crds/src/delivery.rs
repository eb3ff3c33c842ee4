//! The Delivery: one parcel, what is asked for it, and the signed log of what happened to it.

pub mod custody;
pub mod view;

mod rules;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::phase::{Phase, Stage};

pub use custody::{Author, CustodyEntry};

/// How often the door is tried unless the user says otherwise.
pub const DEFAULT_MAX_ATTEMPTS: i32 = 3;

/// What is asked for this parcel.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "waybill.dev",
    version = "v1alpha1",
    kind = "Delivery",
    plural = "deliveries",
    namespaced,
    status = "DeliveryStatus",
    derive = "PartialEq",
    shortname = "dlv",
    category = "waybill",
    selectable = ".spec.carrier",
    selectable = ".spec.seller",
    doc = "One parcel on its way from a Seller to a recipient, carried by a Carrier. It holds no address: the Seller finds the order by the UPC.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage", description = "The part of the address that is open to the carrier"),
    printcolumn(name = "Carrier", type_ = "string", json_path = ".spec.carrier"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "UPC", type_ = "string", json_path = ".spec.upc", priority = 1),
    printcolumn(name = "Seller", type_ = "string", json_path = ".spec.seller", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = rules::carrier_may_change(),
    validation = rules::frozen_after_pending("proof"),
    validation = rules::frozen_after_pending("maxAttempts"),
    validation = rules::forgotten_at_the_end(),
    validation = rules::status_kept(),
    validation = rules::phase_steps(),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.cancelled) || (has(self.cancelled) && self.cancelled == oldSelf.cancelled)")
    .message("cancelled can't be withdrawn or changed once set").field_path(".cancelled"))]
#[x_kube(validation = Rule::new("!has(oldSelf.countersigned) || (has(self.countersigned) && oldSelf.countersigned.all(id, id in self.countersigned))")
    .message("countersigned only grows: what was confirmed can't be withdrawn").field_path(".countersigned"))]
pub struct DeliverySpec {
    /// The parcel's code: the key of its order, and what its label carries. Letters, digits, `.`, `_` and `-`, at most 64.
    /// Never changes; unique among the unfinished Deliveries of the namespace. Example: `UPC_1`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    #[x_kube(validation = ("self == oldSelf", "upc never changes: create another Delivery"))]
    pub upc: String,
    /// The Seller of this namespace who has the order and releases the address. Never changes. Example: `acme`.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = ("self == oldSelf", "seller never changes: create another Delivery"))]
    pub seller: String,
    /// The Carrier of this namespace who moves the parcel; without one the Delivery waits. May change only while the phase
    /// is Pending, OnHold, AttemptFailed or Rescheduled. Example: `truck-7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub carrier: Option<String>,
    /// What must be proved. Frozen once the phase has left Pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofSpec>,
    /// When the recipient expects the parcel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How often the door is tried, 1 to 10; after the last failed attempt the parcel goes back to the Seller. 3 unless you
    /// say otherwise. Frozen once the phase has left Pending.
    #[serde(default = "default_max_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: i32,
    /// Calls the Delivery off. Before pick-up it ends Cancelled; after it the parcel goes back to the Seller. Can't be
    /// withdrawn. Example: `{"reason": "recipientRequest"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancellation>,
    /// What viewers may see while the parcel moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// How long the Delivery is kept after it finished; for ever unless you say otherwise. It goes once its proof bundle is in the
    /// archive, which keeps it. Example: `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Duration>,
    /// For a Seller with `handOver: manual`: set it to `true` once the parcel is in the carrier's hands. The Seller then
    /// signs the hand-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<bool>,
    /// For a Seller with `handOver: manual`: set it to `true` once a parcel that was sent back is here again. The Seller then
    /// signs that it has received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_received: Option<bool>,
    /// The ids of declarations in the log (`event: Declared`) that the Seller's people confirm: the Seller countersigns them, and
    /// only then do they count. Nothing on this list can be withdrawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64), regex(pattern = "^[0-9a-f]{64}$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub countersigned: Vec<String>,
    /// `true`: the order is to be forgotten. Possible once the Delivery is finished; can't be withdrawn. Delete the order itself
    /// too: once it is gone the Seller signs `Forgotten`, and has the carrier's agent wipe what it holds. The proof stays valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<bool>,
}

fn default_max_attempts() -> i32 {
    DEFAULT_MAX_ATTEMPTS
}

impl Default for DeliverySpec {
    fn default() -> Self {
        Self {
            upc: String::new(),
            seller: String::new(),
            carrier: None,
            proof: None,
            window: None,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            cancelled: None,
            share: None,
            ttl_after_finished: None,
            handed_over: None,
            return_received: None,
            countersigned: Vec::new(),
            forgotten: None,
        }
    }
}

/// What must be proved. What is not said follows what the Carrier can do: both with a camera, neither without.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProofSpec {
    /// `true`: a photo is taken at the door. Needs a Carrier with a camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<bool>,
    /// `true`: the parcel's label is scanned before the door part of the address opens. Needs a Carrier with a camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<bool>,
}

/// A span of time.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from < self.to").message("window.from must be before window.to"))]
pub struct Window {
    /// Its beginning, RFC 3339. Example: `2026-12-01T09:00:00Z`.
    pub from: Time,
    /// Its end, RFC 3339. Example: `2026-12-01T12:00:00Z`.
    pub to: Time,
}

/// Why a Delivery is called off.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// `recipientRequest`, `sellerRequest`, `outOfStock`, `addressInvalid`, `duplicate`, `fraud` or `other`. Goes into the
    /// signed log.
    pub reason: CancelReason,
}

/// Why a Delivery is called off.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum CancelReason {
    RecipientRequest,
    SellerRequest,
    OutOfStock,
    AddressInvalid,
    Duplicate,
    Fraud,
    #[default]
    Other,
}

/// What viewers may see while the parcel moves.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The parcel's position: `none`, `coarse` (the neighbourhood) or `exact`. Only the last one is kept, in memory, never
    /// in the cluster.
    #[serde(default)]
    pub location: LocationSharing,
}

/// How exactly viewers see the parcel's position.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum LocationSharing {
    #[default]
    None,
    Coarse,
    Exact,
}

/// What happened. Written by Waybill alone; phase, stage and custody are what the signed log says.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::custody_kept(),
    validation = rules::phase_needs_log(),
    validation = rules::cancelled_before_pick_up(),
    validation = rules::attempt_grows(),
    validation = rules::pinned("carrierUid"),
    validation = rules::pinned("topics"),
)]
pub struct DeliveryStatus {
    /// The `metadata.generation` the operator last worked on; older than the object's own means that it is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Where the parcel is in its life: Pending, Accepted, PickedUp, InTransit, OutForDelivery, AvailableForPickup,
    /// AttemptFailed, Rescheduled, OnHold, Refused, Damaged, ReturnToSender; finished: Delivered, Returned, Lost, Cancelled.
    // The default is the schema's: whoever applies status without a phase neither sets nor owns it.
    #[serde(default, skip_serializing_if = "Phase::is_pending")]
    #[schemars(extend("default" = "Pending"))]
    pub phase: Phase,
    /// The part of the address that is open to the carrier now: None, Country, PostalCode or Door. None while no attempt
    /// runs.
    #[serde(default, skip_serializing_if = "Stage::is_none")]
    #[schemars(extend("default" = "None"))]
    pub stage: Stage,
    /// The number of the attempt that runs or ran last; 0 before the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1000), extend("default" = 0))]
    pub attempt: i32,
    /// The uid of the Carrier that accepted the job. A Carrier made anew under the same name is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = "^[0-9a-f-]{36}$"))]
    pub carrier_uid: Option<String>,
    /// The two MQTT topics of this Delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Topics>,
    /// What the log holds as proof, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofStatus>,
    /// When the parcel's life ended; absent while it runs. `spec.ttlAfterFinished` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How many entries of the log the archived proof bundle holds; counted only where `spec.ttlAfterFinished` waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 256))]
    pub archived: Option<i32>,
    /// `Admitted` and its consequence `Ready` (both ends are provisioned); `Accepted`, `PickedUp`, `Delivered` and `Proven`
    /// as the log says; `Archived` where `spec.ttlAfterFinished` is set; `Hindered`, `Reconciling` and `Stalled` only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::schema")]
    pub conditions: Vec<Condition>,
    /// The log: every event, signed by its author, oldest first. Only ever grows, by at most 8 a write, up to 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::custody_grows(),
        validation = rules::custody_unchanged(),
        validation = rules::custody_growth(),
    )]
    pub custody: Vec<CustodyEntry>,
}

fn is_zero(attempt: &i32) -> bool {
    *attempt == 0
}

/// The two MQTT topics of a Delivery: `wb/<seller uid>/<carrier uid>/<delivery uid>/{down,up}`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Topics {
    /// From the Seller to the Carrier.
    #[schemars(length(max = 128), regex(pattern = "^wb(/[0-9a-f-]{36}){3}/down$"))]
    pub down: String,
    /// From the Carrier to the Seller.
    #[schemars(length(max = 128), regex(pattern = "^wb(/[0-9a-f-]{36}){3}/up$"))]
    pub up: String,
}

/// What the log holds as proof, in short; the log itself is what counts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProofStatus {
    /// The SHA-256 of the first photo taken as proof, in hexadecimal; fetch it from the Carrier API with a view token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub photo_hash: Option<String>,
    /// The SHA-256 of every photo taken as proof, the first included, in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64), regex(pattern = "^[0-9a-f]{64}$")))]
    pub photo_hashes: Vec<String>,
    /// Whether the parcel's label was scanned in the attempt that runs or ran last, and the Seller found it right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned: Option<bool>,
    /// Whether the recipient confirmed the receipt with a code of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<bool>,
}

impl Delivery {
    /// Its phase; Pending before status is first written.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }
}

//! The Carrier: one field agent that moves parcels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{Duration, within};
use crate::participant::{CertificateSpec, CertificateStatus};

/// The first bytes of what [`ExternalKeys::proof`] signs.
pub const PROOF_CONTEXT: &[u8] = b"waybill-enrol-v1";

/// What this Carrier is and where its agent runs.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "waybill.dev",
    version = "v1alpha1",
    kind = "Carrier",
    plural = "carriers",
    namespaced,
    status = "CarrierStatus",
    derive = "PartialEq",
    shortname = "crr",
    category = "waybill",
    doc = "One field agent that moves parcels: a truck, a drone or a person, with or without a camera.",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(name = "Camera", type_ = "boolean", json_path = ".spec.camera"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspended", priority = 1),
    printcolumn(name = "Revoked", type_ = "boolean", json_path = ".spec.revoked", priority = 1),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.certificate.notAfter", description = "End of the certificate in use", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = crate::schema::participant_name("Carrier"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!oldSelf.revoked || self.revoked")
        .message("a revoked Carrier stays revoked: create another one").field_path(".revoked"),
    validation = Rule::new("!has(oldSelf.transport) || !has(oldSelf.transport.external)
        || (has(self.transport) && has(self.transport.external))")
        .message("an external Carrier can't become managed, its keys are its own: create another one").field_path(".transport"),
)]
pub struct CarrierSpec {
    /// What moves the parcel: `truck`, `drone` or `person`.
    pub kind: CarrierKind,
    /// Whether it has a camera: it can then scan a parcel's label and take photos as proof.
    #[serde(default)]
    pub camera: bool,
    /// The Carrier's certificates.
    #[serde(default)]
    pub certificate: CertificateSpec,
    /// Where its agent runs. Without it the agent is managed: it runs as a pod of this namespace. An external Carrier can't
    /// become managed later, because its keys never enter the cluster; the other way round works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// `true`: no new Deliveries are admitted for it; what is under way goes on.
    #[serde(default)]
    pub suspended: bool,
    /// `true`: its certificates are revoked within seconds, its connection is cut, its Deliveries go on hold. For good: a
    /// revoked Carrier stays revoked.
    #[serde(default)]
    pub revoked: bool,
}

/// What moves the parcel.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum CarrierKind {
    #[default]
    Truck,
    Drone,
    Person,
}

impl CarrierKind {
    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truck => "truck",
            Self::Drone => "drone",
            Self::Person => "person",
        }
    }
}

/// Where the agent runs: exactly one of `managed` and `external`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.managed) != has(self.external)")
    .message("transport needs exactly one of managed and external"))]
pub struct Transport {
    /// The agent runs as a pod of this namespace, with keys made by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// The agent runs elsewhere with keys of its own; no private key of it is ever in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// An agent that runs as a pod: a simulator that behaves like one in the field.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// How long each leg takes, up to 24h; `0s` means at once. Example: `2s`.
    #[serde(default = "default_pace")]
    #[x_kube(validation = within("duration(self) <= duration('24h')", "pace must be at most 24h"))]
    pub pace: Duration,
    /// How its attempts end, in this order, counted for each Delivery; after the last entry it delivers.
    /// Example: `[{"outcome": "attemptFailed", "reason": {"cause": "recipient", "what": "recipientAbsent"}}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub script: Vec<Step>,
}

/// One second a leg: slow enough to watch.
pub const DEFAULT_PACE: Duration = Duration::seconds(1);

fn default_pace() -> Duration {
    DEFAULT_PACE
}

impl Default for Managed {
    fn default() -> Self {
        Self { pace: DEFAULT_PACE, script: Vec::new() }
    }
}

/// How one attempt ends.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.outcome != 'delivered' || !has(self.reason)")
    .message("a delivered parcel needs no reason").field_path(".reason"))]
pub struct Step {
    /// `delivered`, `attemptFailed` (it is tried again), `refused`, `damaged`, `lost`, `onHold` (until someone decides),
    /// `availableForPickup` (left where the recipient fetches it), `wrongLabel` (the scan finds another parcel's label).
    pub outcome: Outcome,
    /// Why, where it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
}

/// How an attempt ends.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    #[default]
    Delivered,
    AttemptFailed,
    Refused,
    Damaged,
    Lost,
    OnHold,
    AvailableForPickup,
    WrongLabel,
}

/// A reason on two axes: whose cause it was, and what happened.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct FailureReason {
    /// Whose cause it was: `recipient`, `seller`, `carrier`, `thirdParty`, `nature` or `unknown`.
    pub cause: Cause,
    /// What happened: `recipientAbsent`, `recipientUnknown`, `recipientRefused`, `addressIncomplete`, `addressNotFound`,
    /// `noAccess`, `identityNotProved`, `parcelDamaged`, `parcelLost`, `parcelStolen`, `parcelDoesNotFit`, `wrongParcel`,
    /// `vehicleBreakdown`, `outOfTime`, `unsafe`, `weather`, `customs` or `other`.
    pub what: Happening,
}

/// Whose cause it was.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    Recipient,
    Seller,
    Carrier,
    ThirdParty,
    Nature,
    #[default]
    Unknown,
}

/// What happened.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum Happening {
    RecipientAbsent,
    RecipientUnknown,
    RecipientRefused,
    AddressIncomplete,
    AddressNotFound,
    NoAccess,
    IdentityNotProved,
    ParcelDamaged,
    ParcelLost,
    ParcelStolen,
    ParcelDoesNotFit,
    WrongParcel,
    VehicleBreakdown,
    OutOfTime,
    Unsafe,
    Weather,
    Customs,
    #[default]
    Other,
}

/// An agent that runs elsewhere with keys of its own.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// The agent's certificate signing request in PEM. Only its public key and signature count: the operator sets the
    /// names. P-256, P-384 or Ed25519. Never a private key.
    #[schemars(length(min = 1, max = 8192))]
    #[x_kube(
        validation = Rule::new("self.startsWith('-----BEGIN CERTIFICATE REQUEST-----')")
            .message("csr must be one PEM block CERTIFICATE REQUEST"),
        validation = Rule::new("!self.contains('PRIVATE KEY')")
            .message("csr holds a private key: that key is no secret any more, make a new one"),
    )]
    pub csr: String,
    /// The agent's public keys for signing and sealing.
    pub keys: ExternalKeys,
}

/// Public keys, and the proof that the agent holds the private ones.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalKeys {
    /// The Ed25519 public key its events are signed with: 32 bytes in base64.
    #[schemars(length(min = 44, max = 44), regex(pattern = "^[A-Za-z0-9+/]{43}=$"))]
    pub ed25519: String,
    /// The X25519 public key messages to it are sealed for: 32 bytes in base64.
    #[schemars(length(min = 44, max = 44), regex(pattern = "^[A-Za-z0-9+/]{43}=$"))]
    pub x25519: String,
    /// The proof of possession: an Ed25519 signature, 64 bytes in base64, made with `ed25519` over
    /// `"waybill-enrol-v1" ‖ 0x00 ‖ namespace ‖ "/" ‖ name ‖ 0x00 ‖ ed25519 (32 bytes) ‖ x25519 (32 bytes) ‖ SHA-256 of the
    /// CSR in DER (32 bytes)`, where namespace and name are those of this Carrier. `kubectl waybill carrier enroll` makes it.
    #[schemars(length(min = 88, max = 88), regex(pattern = "^[A-Za-z0-9+/]{86}==$"))]
    pub proof: String,
}

/// What Waybill found and did.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CarrierStatus {
    /// The `metadata.generation` the operator last worked on; older than the object's own means that it is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `CertificatesIssued`, `WorkloadReady` (managed agents only) and their summary `Ready`; `Reconciling` and `Stalled`
    /// only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::schema")]
    pub conditions: Vec<Condition>,
    /// The certificate in use; with its PEM chain for an external Carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// The statement signed by the CA that binds this Carrier's uid to its keys (COSE_Sign1, base64): what sellers and
    /// verifiers check its signatures by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = "^[A-Za-z0-9+/]*={0,2}$"))]
    pub key_statement: Option<String>,
}

/// The bytes [`ExternalKeys::proof`] signs.
pub fn proof_message(
    namespace: &str,
    name: &str,
    ed25519: &[u8; 32],
    x25519: &[u8; 32],
    csr_sha256: &[u8; 32],
) -> Vec<u8> {
    [PROOF_CONTEXT, &[0], namespace.as_bytes(), b"/", name.as_bytes(), &[0], ed25519, x25519, csr_sha256].concat()
}

//! The Seller: who releases the address, part by part.

pub mod notify;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{Duration, within};
use crate::participant::{CertificateSpec, CertificateStatus};
pub use notify::{Mail, MailTls, Notify, Webhook};

/// Where the orders are, and how this Seller works.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "waybill.dev",
    version = "v1alpha1",
    kind = "Seller",
    plural = "sellers",
    namespaced,
    status = "SellerStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "slr",
    category = "waybill",
    doc = "A merchant: keeps the orders and releases an address to the carrier one part at a time.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Orders", type_ = "string", json_path = r#".status.conditions[?(@.type=="OrdersAvailable")].status"#, description = "Whether the orders can be read"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspended"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.certificate.notAfter", description = "End of the certificate in use", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = crate::schema::participant_name("Seller"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.orders) && has(self.url))")
    .message("name either orders (Secrets) or url (an order system), not both"))]
pub struct SellerSpec {
    /// The Secrets that hold the orders, one key a UPC, each name beginning with `orders-`. Without `orders` and `url` it
    /// is the one Secret `orders-<name of this Seller>`. The Seller's pods can read these Secrets and no others.
    /// Example: `["orders-acme"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))
    )]
    #[x_kube(
        validation = Rule::new("self.all(name, name.startsWith('orders-'))")
            .message("each Secret in orders must have a name with the prefix 'orders-'"),
        merge_strategy = ListMerge::Set
    )]
    pub orders: Option<Vec<String>>,
    /// The base address of the Seller's own order system, instead of Secrets; it must serve the same three routes as the
    /// Seller API and be on the list the chart allows. Example: `https://orders.example.com/waybill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$")
    )]
    pub url: Option<String>,
    /// The Seller's certificates.
    #[serde(default)]
    pub certificate: CertificateSpec,
    /// `true`: no new Deliveries are admitted and nothing is released; what is under way waits.
    #[serde(default)]
    pub suspended: bool,
    /// How a parcel is handed to the carrier, and taken back. `auto`: as soon as the carrier has accepted the job, or says that
    /// it gave the parcel back. `manual`: once someone has set `spec.handedOver: true`, or `spec.returnReceived: true`, on the
    /// Delivery.
    #[serde(default)]
    pub hand_over: HandOver,
    /// How long a Delivery of this Seller may stand still before it is reported as Stalled. The operator's own setting
    /// unless you say otherwise. Example: `6h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = within("duration(self) >= duration('1m')", "stallAfter must be at least 1m"))]
    pub stall_after: Option<Duration>,
    /// How long a parcel lies where the recipient can fetch it, before it is called back. A week unless you say otherwise.
    /// Example: `72h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = within("duration(self) >= duration('1m')", "collectWithin must be at least 1m"))]
    pub collect_within: Option<Duration>,
    /// Whom this Seller tells what becomes of its parcels. Nobody unless you say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// What is kept of a finished Delivery beside its log, and for how long. Example: `{"photos": "720h"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// What is kept of a finished Delivery beside its log. The log holds no personal data.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// How long photos and notes are kept after the end, archived bundles included; for ever unless you say otherwise.
    /// Example: `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<Duration>,
    /// What becomes of them when an order is forgotten. Notes and tracking grants go in any case.
    #[serde(default)]
    pub on_forget: Forgetting,
}

/// What becomes of what is kept when an order is forgotten.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Forgetting {
    /// `erase`: photos go, archived ones included. `keep`: they stay as evidence.
    #[serde(default)]
    pub photos: OnForget,
}

/// Whether photos outlive their order.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum OnForget {
    #[default]
    Erase,
    Keep,
}

/// How a parcel is handed to the carrier.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub enum HandOver {
    #[default]
    Auto,
    Manual,
}

/// What Waybill found and did.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SellerStatus {
    /// The `metadata.generation` the operator last worked on; older than the object's own means that it is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `CertificatesIssued`, `WorkloadReady`, `OrdersAvailable` and their summary `Ready`; `NotificationsDelivered` where
    /// `notify` is set; `Reconciling` and `Stalled` only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::schema")]
    pub conditions: Vec<Condition>,
    /// The certificate in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// The statement signed by the CA that binds this Seller's uid to its keys (COSE_Sign1, base64): what carriers check at
    /// first contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = "^[A-Za-z0-9+/]*={0,2}$"))]
    pub key_statement: Option<String>,
}

/// Whether an order system may be asked: `https://a/b` is below `https://a/b` and `https://a`, but not below `https://a/bc`, nor is
/// `https://a.evil` below `https://a`. Asked by whoever reads orders, not only by whoever admits the Seller.
pub fn url_is_allowed(url: &str, allowed: &[String]) -> bool {
    allowed.iter().map(|prefix| prefix.trim().trim_end_matches('/')).any(|prefix| {
        !prefix.is_empty() && url.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

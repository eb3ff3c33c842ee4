//! The custom resources of Waybill: what a user writes and what a user reads back. Types only.
//!
//! One file a kind ([`delivery`], [`seller`], [`carrier`]), the conditions and their reasons in [`condition`], the phases
//! of a parcel in [`phase`]. Doc comments on fields are what `kubectl explain` prints, so they are written for users.
//! Rules live in the schema: the API server refuses what breaks them, whoever asks.
//!
//! The committed YAML in `crds/generated` is printed from these types; `make crds` renews it, a test compares.

// `KubeSchema` copies a public struct into a function, where nothing can reach it.
#![allow(unreachable_pub)]

pub mod carrier;
pub mod condition;
pub mod delivery;
pub mod duration;
pub mod participant;
pub mod phase;
pub mod seller;

mod manifest;
mod schema;

pub use carrier::{Carrier, CarrierKind, CarrierSpec, CarrierStatus};
pub use condition::{ConditionType, Reason};
pub use delivery::view::DeliveryView;
pub use delivery::{Delivery, DeliverySpec, DeliveryStatus};
pub use duration::Duration;
pub use manifest::{all, manifests};
pub use participant::{CertificateSpec, CertificateStatus};
pub use phase::{Phase, Stage};
pub use seller::{Seller, SellerSpec, SellerStatus};

/// The API group of every kind.
pub const GROUP: &str = "waybill.dev";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// The operator's name in server-side apply.
pub const FIELD_MANAGER: &str = "waybill-operator";
/// The Seller service's name in server-side apply; it owns the condition `OrdersAvailable` of its Seller.
pub const SELLER_FIELD_MANAGER: &str = "wb-seller";
/// Its name where it tells what became of notifications: another, so that each condition is applied by itself.
pub const NOTIFY_FIELD_MANAGER: &str = "wb-seller-notify";
/// The longest name of a Seller or Carrier: names of what is made for them are derived and capped at 63.
pub const NAME_MAX: usize = 40;

/// Labels Waybill sets or reads.
pub mod label {
    /// The Seller an object was made for.
    pub const SELLER: &str = "waybill.dev/seller";
    /// The Carrier an object was made for.
    pub const CARRIER: &str = "waybill.dev/carrier";
    /// `"true"` on a Seller or Carrier made because a Delivery named it; it leaves with the last one that does.
    pub const AUTO_CREATED: &str = "waybill.dev/auto-created";
    /// On a namespace: [`AUTO_CREATE_ENABLED`] lets Deliveries bring their Seller and Carrier into being.
    pub const AUTO_CREATE: &str = "waybill.dev/auto-create";
    /// The value of [`AUTO_CREATE`] that turns it on.
    pub const AUTO_CREATE_ENABLED: &str = "enabled";
    /// `"true"` on the immutable ConfigMaps that record issued serials.
    pub const LEDGER: &str = "waybill.dev/ledger";
    /// Always [`APP_NAME`].
    pub const NAME: &str = "app.kubernetes.io/name";
    /// `seller`, `carrier-api`, `transport`, …
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// The name of the object this was made for.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
    /// Always [`super::FIELD_MANAGER`].
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The value of [`NAME`].
    pub const APP_NAME: &str = "waybill";
}

/// Annotations Waybill sets or reads.
pub mod annotation {
    /// `"true"` on any kind: the operator leaves the object alone until it is gone.
    pub const PAUSED: &str = "waybill.dev/paused";
    /// On a Delivery, any value: it may be deleted although the parcel is under way.
    pub const ABANDON: &str = "waybill.dev/abandon";
    /// On the Secret `waybill-ca`: a new value starts the rotation of the CA.
    pub const ROTATE: &str = "waybill.dev/rotate";
    /// On pod templates: changes when what the pods read has changed, and only then.
    pub const CONTENT_HASH: &str = "waybill.dev/content-hash";
}

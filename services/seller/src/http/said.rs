//! What is answered, as types: the description of the API is made from them.

use schemars::JsonSchema;
use serde::Serialize;
use waybill_crds::delivery::LocationSharing;

/// That somebody is here.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Alive {
    pub(super) seller: &'static str,
}

/// One part of an order, and nothing else of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Part")]
pub(super) struct Part<T> {
    #[serde(rename = "UPC_ID")]
    pub(super) upc: String,
    #[serde(flatten)]
    pub(super) part: T,
    #[schemars(extend("format" = "date-time"))]
    pub(super) time: String,
}

/// The first part.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Country {
    pub(super) country: String,
    pub(super) province: String,
    pub(super) city: String,
}

/// The second.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PostalCode {
    pub(super) postal_code: String,
}

/// The last.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Door {
    pub(super) client_name: String,
    pub(super) door_number: String,
    pub(super) phone_number: String,
}

/// Where the carrier last said the parcel is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    pub(super) upc: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Metres around it.
    pub(super) accuracy_m: Option<u32>,
    /// By the carrier's clock.
    #[schemars(extend("format" = "date-time"))]
    pub(super) at: String,
    pub(super) sharing: LocationSharing,
}

/// The recipient's code.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReceiptCode {
    pub(super) code: String,
}

/// A challenge for whoever says to be the courier.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Challenged {
    /// Its bytes in base64url.
    pub(super) challenge: String,
    /// The same to read and to type.
    pub(super) text: String,
    #[schemars(extend("format" = "date-time"))]
    pub(super) expires_at: String,
    pub(super) tries_left: u32,
    /// `answered` once the attempt's own device has signed it, wherever that is: no proof of who stands at the door.
    pub(super) device: Device,
}

/// Whether the courier's device has heard of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Device {
    Answered,
    Silent,
}

/// What the check says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    pub(super) courier: Whose,
    pub(super) tries_left: u32,
}

/// Whether whoever gave the answer has the device that accepted this very attempt.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) enum Whose {
    #[serde(rename = "yours")]
    Yours,
    #[serde(rename = "not yours")]
    NotYours,
}

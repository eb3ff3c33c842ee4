//! What Sellers and Carriers have in common: a certificate, and keys bound to them by a statement of the CA.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{Duration, readable, within};

/// How long certificates live and when they are renewed.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = renewed_before_its_end())]
pub struct CertificateSpec {
    /// How long a certificate is valid, from 10m to 2160h (90 days); 72h unless you say otherwise. A shorter life means that a
    /// stolen key is worth less; a longer one means that more time may pass without the operator. Example: `72h`.
    #[serde(default = "default_ttl")]
    #[x_kube(validation = within(
        "duration(self) >= duration('10m') && duration(self) <= duration('2160h')",
        "certificate.ttl must be between 10m and 2160h",
    ))]
    pub ttl: Duration,
    /// How long before its end a certificate is renewed, at least 1m and less than `ttl`. A third of `ttl` unless you say
    /// otherwise. Example: `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = within("duration(self) >= duration('1m')", "certificate.renewBefore must be at least 1m"))]
    pub renew_before: Option<Duration>,
}

fn renewed_before_its_end() -> kube::core::Rule {
    let comparable = format!("{} && {}", readable("self.ttl"), readable("self.renewBefore"));
    let rule = format!("!has(self.renewBefore) || !({comparable}) || duration(self.renewBefore) < duration(self.ttl)");
    kube::core::Rule::new(rule)
        .message("certificate.renewBefore must be shorter than certificate.ttl")
        .field_path(".renewBefore")
}

/// 72 hours.
pub const DEFAULT_TTL: Duration = Duration::hours(72);

fn default_ttl() -> Duration {
    DEFAULT_TTL
}

impl Default for CertificateSpec {
    fn default() -> Self {
        Self { ttl: DEFAULT_TTL, renew_before: None }
    }
}

/// The certificate in use.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The serial number, in hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{2,40}$"), length(max = 40))]
    pub serial: String,
    /// The beginning of its validity; an hour before it was issued, for clocks that lag.
    pub not_before: Time,
    /// The end of its validity.
    pub not_after: Time,
    /// When the operator will renew it.
    pub renew_at: Time,
    /// The SHA-256 of the issuing CA certificate, in hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"), length(max = 64))]
    pub issuer: String,
    /// For external Carriers: the certificate chain in PEM. Others find it in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub pem: Option<String>,
}

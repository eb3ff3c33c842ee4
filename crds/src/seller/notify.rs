//! Whom a Seller tells what becomes of its parcels. Addresses of people are no part of it: they stand in the orders.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// Webhooks and e-mail of a Seller.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.webhooks) || has(self.mail)").message("name webhooks, mail, or both"))]
pub struct Notify {
    /// Programs that are told of every phase by an HTTP POST, signed as Standard Webhooks has it; each is told at least once,
    /// in the order in which a parcel's phases came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other.url == one.url))")
        .message("name each url once"))]
    pub webhooks: Vec<Webhook>,
    /// The recipient gets e-mail with a link to follow the parcel, at the address `email` of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
}

/// One program that is told.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where it listens; its host must be on the list the chart allows. Example: `https://hooks.example.com/waybill`.
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$")
    )]
    pub url: String,
    /// A Secret whose key `secret` (`whsec_` and base64) signs what is sent. Without it nothing is signed, and whoever
    /// finds the address can say anything there. Example: `notify-hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^notify-[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: Option<String>,
    /// The phases it is told of; all of them unless you say otherwise. Example: `["Delivered", "AttemptFailed"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub phases: Option<Vec<Phase>>,
}

/// The mail server that takes messages to recipients.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Its name; it must be on the list the chart allows. Example: `smtp.example.com`.
    #[schemars(length(max = 253), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// Its port. Example: `587`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The sender's address. Example: `Acme <parcels@acme.example>`.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// A Secret with `username` and `password`, and `ca.crt` where the server's certificate is of an authority of your own.
    /// Example: `notify-smtp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^notify-[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: Option<String>,
    /// How the connection is kept private: `starttls`, `tls` from the first byte, or `none` (inside the cluster only).
    #[serde(default)]
    pub tls: MailTls,
    /// The phases recipients are written to about; `PickedUp`, `OutForDelivery`, `AvailableForPickup`, `Delivered`,
    /// `AttemptFailed`, `Rescheduled`, `Lost`, `ReturnToSender` and `Cancelled` unless you say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub phases: Option<Vec<Phase>>,
}

/// How a connection to a mail server is kept private.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    #[default]
    Starttls,
    Tls,
    None,
}

impl Notify {
    /// The Secrets it names.
    pub fn secrets(&self) -> Vec<String> {
        let hooks = self.webhooks.iter().filter_map(|hook| hook.secret_name.clone());
        let mut all: Vec<String> = hooks.chain(self.mail.as_ref().and_then(|mail| mail.secret_name.clone())).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The ports it leads to.
    pub fn ports(&self) -> Vec<u16> {
        let hooks = self.webhooks.iter().filter_map(|hook| Some(host_and_port(&hook.url)?.1));
        let mail = self.mail.as_ref().and_then(|mail| u16::try_from(mail.port).ok());
        let mut all: Vec<u16> = hooks.chain(mail).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Host and port of an address of a webhook.
pub fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (rest, usual) = match url.split_once("://")? {
        ("https", rest) => (rest, 443),
        ("http", rest) => (rest, 80),
        _ => return None,
    };
    let authority = rest.split('/').next()?;
    match authority.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, usual)),
    }
}

/// Whether a host may be told anything: by its name, on any port or on the one that stands beside it. Asked by whoever sends.
pub fn host_is_allowed(host: &str, port: u16, allowed: &[String]) -> bool {
    let mut named = allowed.iter().map(|one| one.trim()).filter(|one| !one.is_empty());
    named.any(|one| match one.split_once(':') {
        Some((name, only)) => name.eq_ignore_ascii_case(host) && only.parse() == Ok(port),
        None => one.eq_ignore_ascii_case(host),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_something_only_under_its_own_name_and_port() {
        let allowed = ["hooks.example.com".to_owned(), "smtp.example.com:587".to_owned(), String::new()];
        for (host, port, so) in [
            ("hooks.example.com", 443, true),
            ("HOOKS.example.com", 8443, true),
            ("hooks.example.com.evil", 443, false),
            ("a.hooks.example.com", 443, false),
            ("smtp.example.com", 587, true),
            ("smtp.example.com", 25, false),
            ("", 443, false),
        ] {
            assert_eq!(host_is_allowed(host, port, &allowed), so && !host.is_empty(), "{host}:{port}");
        }
        assert!(!host_is_allowed("hooks.example.com", 443, &[]));
    }

    #[test]
    fn an_address_leads_to_the_port_it_says_or_the_usual_one() {
        assert_eq!(host_and_port("https://a.example/b/c"), Some(("a.example", 443)));
        assert_eq!(host_and_port("http://a.example"), Some(("a.example", 80)));
        assert_eq!(host_and_port("http://a.example:8080/x"), Some(("a.example", 8080)));
        assert_eq!(host_and_port("ftp://a.example"), None);
    }
}

//! Whom a Seller tells: its `spec.notify`, read into ways that work now and reasons why others do not.
//!
//! Trust: a Seller may name any host; only those the chart allows are ever spoken to. Secrets are read by name, as its Role allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;
use waybill_cluster::follow::latest;
use waybill_crds::seller::notify::{host_and_port, host_is_allowed};
use waybill_crds::seller::{Mail, Notify, Webhook};
use waybill_crds::{Phase, Reason};

use super::mail::{self, Access, Server};
use super::webhook::{self, SigningKey};

/// The key of a Secret that signs.
const SIGNS: &str = "secret";
/// What the one who writes to recipients is called.
pub(super) const MAIL: &str = "mail";

/// The Secrets `spec.notify` names, each followed.
pub(super) type Secrets = BTreeMap<String, watch::Receiver<Option<Arc<Secret>>>>;

/// One of them.
#[derive(Clone)]
pub(super) struct Target {
    /// Tells it from the others, and is the same after a restart.
    pub(super) id: String,
    /// For people: the host, never the rest of an address, which may be a secret.
    pub(super) shown: String,
    phases: Option<Vec<Phase>>,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Clone)]
pub(super) enum Kind {
    Webhook(Webhook),
    Mail(Mail),
}

/// How it is told now.
pub(super) enum Way {
    Post { url: String, key: Option<SigningKey> },
    Send { server: Server, from: String },
}

/// Why it is not told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) reason: Reason,
    pub(super) why: String,
}

/// Follows what a specification names.
pub(super) fn follow(client: &Client, namespace: &str, notify: &Notify) -> Secrets {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    notify.secrets().into_iter().map(|name| (name.clone(), latest(api.clone(), &name))).collect()
}

/// All of a specification.
pub(super) fn all(notify: &Notify) -> Vec<Target> {
    let hooks = notify.webhooks.iter().map(|hook| {
        let shown = host_and_port(&hook.url).map_or("a webhook", |(host, _)| host);
        let id = waybill_protocol::Hash::of(hook.url.as_bytes()).to_string();
        Target {
            id: id.chars().take(16).collect(),
            shown: shown.to_owned(),
            phases: hook.phases.clone(),
            kind: Kind::Webhook(hook.clone()),
        }
    });
    let mail = notify.mail.iter().map(|mail| Target {
        id: MAIL.to_owned(),
        shown: format!("{MAIL} through {}", mail.host),
        phases: mail.phases.clone(),
        kind: Kind::Mail(mail.clone()),
    });
    hooks.chain(mail).collect()
}

impl Target {
    /// Whether it is told of this phase.
    pub(super) fn wants(&self, phase: &str) -> bool {
        match (&self.phases, &self.kind) {
            (Some(phases), _) => phases.iter().any(|one| one.as_str() == phase),
            (None, Kind::Webhook(_)) => true,
            (None, Kind::Mail(_)) => mail::USUAL.contains(&phase),
        }
    }

    pub(super) const fn is_mail(&self) -> bool {
        matches!(self.kind, Kind::Mail(_))
    }

    /// The word of metrics.
    pub(super) const fn word(&self) -> &'static str {
        if self.is_mail() { MAIL } else { "webhook" }
    }

    /// How to tell it, with the Secrets as they are now.
    pub(super) fn way(&self, allowed: &[String], secrets: &Secrets) -> Result<Way, Blocked> {
        let (host, port) = match &self.kind {
            Kind::Webhook(hook) => host_and_port(&hook.url).unwrap_or_default(),
            Kind::Mail(mail) => (mail.host.as_str(), u16::try_from(mail.port).unwrap_or_default()),
        };
        if !host_is_allowed(host, port, allowed) {
            let why =
                format!("{host}:{port} is not on the list: ask for `sellers.notifyHosts` in the chart to name it");
            return Err(Blocked { reason: Reason::NotifyHostForbidden, why });
        }
        match &self.kind {
            Kind::Webhook(hook) => Ok(Way::Post { url: hook.url.clone(), key: signing_key(hook, secrets)? }),
            Kind::Mail(mail) => {
                let access = access(mail, secrets)?;
                let server = mail::server(mail, &access);
                let server = server.map_err(|error| missing(mail.secret_name.as_deref(), &error.to_string()))?;
                Ok(Way::Send { server, from: mail.from.clone() })
            }
        }
    }
}

fn missing(secret: Option<&str>, why: &str) -> Blocked {
    Blocked { reason: Reason::NotifySecretMissing, why: format!("Secret {}: {why}", secret.unwrap_or("(none)")) }
}

fn secret(name: &str, secrets: &Secrets) -> Result<Arc<Secret>, Blocked> {
    let found = secrets.get(name).and_then(|secret| secret.borrow().clone());
    found.ok_or_else(|| missing(Some(name), "does not exist"))
}

fn signing_key(hook: &Webhook, secrets: &Secrets) -> Result<Option<SigningKey>, Blocked> {
    let Some(name) = &hook.secret_name else { return Ok(None) };
    let found = secret(name, secrets)?;
    let key = found.data.as_ref().and_then(|data| data.get(SIGNS)).and_then(|value| webhook::signing_key(&value.0));
    key.map(Some).ok_or_else(|| missing(Some(name), "its key `secret` is not whsec_ and at least 24 bytes in base64"))
}

fn access(mail: &Mail, secrets: &Secrets) -> Result<Access, Blocked> {
    let Some(name) = &mail.secret_name else { return Ok(Access::default()) };
    let found = secret(name, secrets)?;
    let bytes = |key: &str| found.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone());
    let text =
        |key: &str| bytes(key).and_then(|value| String::from_utf8(value).ok()).map(|text| text.trim().to_owned());
    Ok(Access { username: text("username"), password: text("password"), authority: bytes("ca.crt") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify() -> Notify {
        let hook = Webhook { url: "https://hooks.example.com/T0/SECRET".into(), ..Webhook::default() };
        let mail = Mail { host: "smtp.example.com".into(), port: 587, from: "a@b.example".into(), ..Mail::default() };
        Notify { webhooks: vec![hook], mail: Some(mail) }
    }

    #[test]
    fn only_hosts_the_chart_allows_are_told_and_the_others_are_named() {
        let targets = all(&notify());
        let allowed = ["hooks.example.com".to_owned()];
        assert!(matches!(targets[0].way(&allowed, &Secrets::new()), Ok(Way::Post { key: None, .. })));
        let blocked = targets[1].way(&allowed, &Secrets::new()).err().unwrap();
        assert_eq!(blocked.reason, Reason::NotifyHostForbidden);
        assert!(blocked.why.starts_with("smtp.example.com:587 is not on the list"), "{}", blocked.why);
    }

    #[test]
    fn a_webhook_without_its_secret_is_not_told_unsigned() {
        let mut notify = notify();
        notify.webhooks[0].secret_name = Some("notify-hook".into());
        let blocked = all(&notify)[0].way(&["hooks.example.com".to_owned()], &Secrets::new()).err().unwrap();
        assert_eq!(blocked.reason, Reason::NotifySecretMissing);
    }

    #[test]
    fn what_is_shown_of_a_webhook_is_its_host() {
        let target = &all(&notify())[0];
        assert_eq!(target.shown, "hooks.example.com");
        assert!(!target.id.contains("SECRET") && target.wants("Delivered") && target.wants("OnHold"));
        let mail = &all(&notify())[1];
        assert!(mail.wants("Delivered") && !mail.wants("InTransit"));
    }
}

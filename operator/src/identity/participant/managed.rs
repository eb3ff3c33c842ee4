//! A participant whose keys are in the cluster: keys made once, leaf in its TLS Secret, statement over both.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use waybill_crds::condition::Reason;
use waybill_crds::label;
use waybill_protocol::Custody;

use super::keyring::{self, Held};
use super::{Outcome, Participant, tls};
use crate::identity::ledger::{Kind, Owner};
use crate::identity::names::{self, Secrets};
use crate::identity::request::Refusal;
use crate::identity::{Error, Inner, keys, labels, statement};

/// What `Participant` and the Carrier API have in common.
pub(crate) struct Wanted<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) controller: Option<&'a OwnerReference>,
    pub(crate) ttl: SignedDuration,
    pub(crate) renew_before: Option<SignedDuration>,
    pub(crate) external_names: &'a [String],
    pub(crate) key_statement: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(participant: &'a Participant) -> Self {
        Self {
            owner: &participant.owner,
            controller: Some(&participant.controller),
            ttl: participant.ttl,
            renew_before: participant.renew_before,
            external_names: &[],
            key_statement: participant.key_statement.as_deref(),
        }
    }
}

pub(crate) async fn ensure(inner: &Inner, wanted: &Wanted<'_>, now: Timestamp) -> Result<Outcome, Error> {
    let owner = wanted.owner;
    let secrets = names::secrets(owner.kind, &owner.name);
    let held = match keys_of(inner, wanted, &secrets).await? {
        Ok(held) => held,
        Err(refusal) => return Ok(Outcome { refusal: Some(refusal), ..Outcome::default() }),
    };
    let public = keys::public(owner.kind, &held.data).map_err(|source| damaged(owner, &secrets.keys, source))?;
    let tls = tls::ensure(
        inner,
        &tls::Wanted {
            owner,
            controller: wanted.controller,
            labels: labels_of(owner),
            secret: &secrets.tls,
            names: names::participant(owner.kind, &owner.namespace, &owner.name, wanted.external_names),
            usage: names::usage(owner.kind),
            ttl: wanted.ttl,
            renew_before: wanted.renew_before,
        },
        now,
    )
    .await?;
    let (authority, _) = inner.ready()?;
    let says = statement::Wanted {
        owner,
        custody: Custody::Managed,
        keys: &public,
        tls_spki_sha256: tls.leaf.facts.spki_sha256,
    };
    let statement = statement::ensure(wanted.key_statement, &says, &tls.issuer, &authority, now).map_err(|source| {
        Error::Statement { owner: format!("{} {}/{}", owner.kind, owner.namespace, owner.name), source }
    })?;
    // Valid base64 of our own making; were it not, the program would find nothing rather than something false.
    let signed = STANDARD.decode(&statement).unwrap_or_default();
    keyring::publish(inner, &secret(wanted, &secrets.keys), &held, signed).await?;
    Ok(Outcome {
        certificate: Some(super::status(&tls.leaf, &tls.issuer, tls.renew_at, None)),
        key_statement: Some(statement),
        tls_hash: Some(tls.hash),
        refusal: None,
        renew_at: Some(tls.renew_at),
    })
}

/// The signing Secret, after making sure of the label's too. Keys that were stated once and are gone are a person's decision.
async fn keys_of(inner: &Inner, wanted: &Wanted<'_>, secrets: &Secrets) -> Result<Result<Held, Refusal>, Error> {
    let owner = wanted.owner;
    let (authority, _) = inner.ready()?;
    let had = wanted.key_statement.is_some_and(|text| statement::is_about(text, &owner.uid, &authority));
    let kind = owner.kind;
    let create = || keys::create(kind, &mut rand::random);
    let held =
        keyring::ensure(inner, &secret(wanted, &secrets.keys), create, had.then(|| lost(owner, &secrets.keys))).await?;
    if let Some(label) = &secrets.label {
        let create = || keys::create_label(&mut rand::random);
        match keyring::ensure(inner, &secret(wanted, label), create, had.then(|| lost(owner, label))).await? {
            Ok(held) => keys::check_label(&held.data).map_err(|source| damaged(owner, label, source))?,
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    Ok(held)
}

fn secret<'a>(wanted: &Wanted<'a>, name: &'a str) -> keyring::Wanted<'a> {
    let owner = wanted.owner;
    keyring::Wanted { namespace: &owner.namespace, name, controller: wanted.controller, labels: labels_of(owner) }
}

fn lost(owner: &Owner, secret: &str) -> Refusal {
    let Owner { kind, namespace, name, .. } = owner;
    let message = format!(
        "Secret {namespace}/{secret} with the private keys is gone: restore it from a backup, or delete the {kind} {name} and create it anew"
    );
    Refusal { reason: Reason::KeyLost, message }
}

fn damaged(owner: &Owner, secret: &str, source: keys::Damaged) -> Error {
    Error::Damaged { namespace: owner.namespace.clone(), name: secret.to_owned(), source }
}

fn labels_of(owner: &Owner) -> BTreeMap<String, String> {
    let (component, whose) = match owner.kind {
        Kind::Seller => ("seller", Some(label::SELLER)),
        Kind::Carrier => ("carrier", Some(label::CARRIER)),
        Kind::CarrierApi => ("carrier-api", None),
        Kind::Broker => ("broker", None),
        Kind::Board => ("board", None),
    };
    let mut marks = labels::of(component);
    marks.insert(label::INSTANCE.to_owned(), owner.name.clone());
    marks.extend(whose.map(|key| (key.to_owned(), owner.name.clone())));
    marks
}

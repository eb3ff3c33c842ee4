//! A carrier whose keys are its own: its request is checked, its key certified, nothing of it but certificates enters the cluster.

use jiff::Timestamp;
use waybill_crds::carrier::External;
use waybill_protocol::Custody;

use super::{Outcome, Participant, tls};
use crate::identity::leaf::{self, Current, Decision};
use crate::identity::{Error, Inner, names, request, statement};

pub(super) async fn ensure(
    inner: &Inner,
    participant: &Participant,
    external: &External,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let (authority, published) = inner.ready()?;
    let owner = &participant.owner;
    let enrolled = match request::check(external, &owner.namespace, &owner.name) {
        Ok(enrolled) => enrolled,
        Err(refusal) => return Ok(Outcome { refusal: Some(refusal), ..Outcome::default() }),
    };
    let wanted = leaf::Wanted {
        uid: owner.uid.clone(),
        names: names::participant(owner.kind, &owner.namespace, &owner.name, &[]),
        usage: names::usage(owner.kind),
        ttl: participant.ttl,
        renew_before: participant.renew_before,
        spki_sha256: enrolled.tls_spki_sha256,
    };
    let current = participant.certificate.as_deref().and_then(|chain| Current::read(chain, &authority));
    let revoked = current.as_ref().is_some_and(|current| published.crl.refuses(&current.serial));
    let decision = leaf::decide(current.as_ref(), revoked, &wanted, &inner.leaf_issuer(&authority), now);
    let (chain, leaf, renew_at) = match (decision, current, &participant.certificate) {
        (Decision::Keep { renew_at }, Some(current), Some(chain)) => (chain.clone(), current, renew_at),
        (decision, ..) => {
            let reason = tls::reason(decision);
            let issued = tls::issue(inner, &authority, owner, &wanted, &enrolled.tls, reason, now).await?;
            (issued.chain, issued.leaf, issued.renew_at)
        }
    };
    let issuer = authority.trusted().find(|ca| ca.fingerprint() == leaf.issuer).unwrap_or(authority.active());
    let says = statement::Wanted {
        owner,
        custody: Custody::External,
        keys: &enrolled.keys,
        tls_spki_sha256: enrolled.tls_spki_sha256,
    };
    let statement =
        statement::ensure(participant.key_statement.as_deref(), &says, issuer, &authority, now).map_err(|source| {
            Error::Statement { owner: format!("{} {}/{}", owner.kind, owner.namespace, owner.name), source }
        })?;
    Ok(Outcome {
        certificate: Some(super::status(&leaf, issuer, renew_at, Some(chain))),
        key_statement: Some(statement),
        tls_hash: None,
        refusal: None,
        renew_at: Some(renew_at),
    })
}

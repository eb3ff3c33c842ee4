//! `/identity`: what the operator has signed for an agent, for agents that the cluster does not reach and whose certificate
//! may have ended. No client certificate: the request is signed with the key of the Carrier's statement. Nothing is made
//! here, and nothing that is served is secret.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use waybill_chassis::files::Files;
use waybill_chassis::problem::{Checked, Problem};
use waybill_cluster::participants::Participant;
use waybill_cluster::trust::{FORMER, FORMER_SIGNATURE, REVOKED, REVOKED_SIGNATURE};
use waybill_crds::Carrier;
use waybill_protocol::{RenewalRequest, Uid};

use super::problems::{CLOCK_SKEW, MALFORMED, RENEWAL_REFUSED};
use super::said::{Published, Renewed};
use crate::report::is_its_job;
use crate::service::{Service, Shared, now_millis};
use crate::statement;

/// How far the asker's clock may be off, in milliseconds: it has the answer's Date to set it by.
const SKEW: u64 = 5 * 60 * 1000;

/// A signed request as it comes.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RenewalRequest")]
pub(super) struct Asked {
    /// As `docs/proof-format.md` says, in base64.
    request: String,
}

pub(super) async fn renew(
    State(service): State<Service>,
    Checked(Json(asked)): Checked<Json<Asked>>,
) -> Result<Json<Renewed>, Problem> {
    let malformed = |words: String| Problem::new(MALFORMED, words);
    let bytes = STANDARD.decode(&asked.request).map_err(|_| malformed("the request is no base64".into()))?;
    let request = RenewalRequest::read(&bytes).map_err(|error| malformed(error.to_string()))?;
    let carrier = prove(&service, &request, &bytes)?;
    if request.at.0.abs_diff(now_millis().0) > SKEW {
        return Err(Problem::new(CLOCK_SKEW, "the request's time is not ours; take it from this answer's Date"));
    }
    let status = carrier.status.as_ref();
    let published = service.published.borrow().clone();
    Ok(Json(Renewed {
        certificate: status.and_then(|status| status.certificate.as_ref()?.pem.clone()),
        statement: carrier.key_statement().map(str::to_owned),
        seller_statements: seller_statements(&service, &request.uid),
        bundle: published.text("ca.crt").map(str::to_owned),
        published: signed(&published),
    }))
}

/// Whose request it is. One who is revoked, unknown or somebody else reads the same words.
fn prove(service: &Shared, request: &RenewalRequest, bytes: &[u8]) -> Result<std::sync::Arc<Carrier>, Problem> {
    let refuse = |reason: &str| {
        tracing::info!(carrier = %request.uid, reason, "refused a renewal");
        Problem::new(RENEWAL_REFUSED, "the request is not that of a carrier of this namespace")
    };
    if request.namespace.as_str() != service.namespace {
        return Err(refuse("another namespace"));
    }
    let carrier = service.carriers.object_of(request.uid.as_str()).ok_or_else(|| refuse("no such carrier"))?;
    if service.carriers.is_revoked(request.uid.as_str()) {
        return Err(refuse("revoked"));
    }
    // Its dates are not asked: an agent that was away for long comes back this way.
    let trust = service.trust.borrow().clone();
    let statement = carrier.key_statement().and_then(|text| statement::stated(text, &trust));
    let statement = statement.filter(|statement| statement.uid == request.uid).ok_or_else(|| refuse("no statement"))?;
    RenewalRequest::verify(bytes, &statement.ed25519).map_err(|_| refuse("another key"))?;
    Ok(carrier)
}

/// Of the sellers it works for now, each once.
fn seller_statements(service: &Shared, carrier: &Uid) -> Vec<String> {
    let mut sellers: Vec<String> = Vec::new();
    for delivery in service.deliveries.all() {
        let named = service.names(&delivery, carrier);
        let pinned =
            delivery.status.as_ref().and_then(|status| status.carrier_uid.as_deref()) == Some(carrier.as_str());
        if !(named || pinned) || delivery.phase().terminal() || sellers.contains(&delivery.spec.seller) {
            continue;
        }
        if service.log(&delivery).is_some_and(|log| is_its_job(&log, carrier, named)) {
            sellers.push(delivery.spec.seller.clone());
        }
    }
    sellers.sort_unstable();
    let statement = |name: &String| Some(service.sellers.object(name)?.key_statement()?.to_owned());
    sellers.iter().filter_map(statement).collect()
}

/// What the operator signed for everybody: whoever gets it from us need not believe us.
fn signed(published: &Files) -> Vec<Published> {
    let one = |(name, signature): (&'static str, &str)| {
        let content = std::str::from_utf8(published.get(name)?).ok()?.to_owned();
        Some(Published { name, content, signature: published.text(signature)?.to_owned() })
    };
    [(REVOKED, REVOKED_SIGNATURE), (FORMER, FORMER_SIGNATURE)].into_iter().filter_map(one).collect()
}

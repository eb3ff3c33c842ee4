//! Who asks: an agent by certificate and token together, a viewer by token alone (a view token, or a Kubernetes token).
//!
//! An agent's token is refused unless it is its certificate's own: `iss` is the CN. Whatever the reason, the answer is the
//! same words; the log has the reason.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use waybill_chassis::jwt::{self, INVALID, bearer};
use waybill_chassis::peer::Peer;
use waybill_chassis::problem::{Checked, Problem};
use waybill_chassis::revocation::REVOKED;
use waybill_crds::Delivery;
use waybill_protocol::{Log, Uid};

use super::problems::{MALFORMED, unknown_delivery};
use super::user::first_readable;
use crate::report;
use crate::service::{Service, Shared, now, now_millis};
use crate::tokens::Pass;

/// A carrier's agent that proved twice who it is.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) uid: Uid,
    pass: Arc<Pass>,
}

impl FromRequestParts<Service> for Agent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        // Before the body: nobody uploads megabytes to be told that a token was missing.
        let peer = <Peer as FromRequestParts<Service>>::from_request_parts(parts, service).await?;
        Self::prove(service, &peer, bearer(&parts.headers)?)
    }
}

impl Agent {
    /// Certificate and token together.
    pub(super) fn prove(service: &Shared, peer: &Peer, token: &str) -> Result<Self, Problem> {
        let refuse = |reason: &str| {
            tracing::info!(carrier = %peer.uid, reason, "refused an agent's token");
            Problem::new(INVALID, jwt::Refusal::Shape.problem().detail())
        };
        let pass = service.agents.verify(token, now()).map_err(|refusal| {
            tracing::info!(carrier = %peer.uid, %refusal, "refused an agent's token");
            refusal.problem()
        })?;
        if pass.iss != peer.uid {
            return Err(refuse("the token is another carrier's than the certificate"));
        }
        if !pass.role.is_viewer() {
            return Err(refuse("the token has a role, which no agent's has"));
        }
        let uid = Uid::new(&peer.uid).map_err(|_| refuse("the certificate names no uid"))?;
        check_revoked(service, &uid)?;
        match service.carriers.by_uid(uid.as_str(), now_millis()) {
            Some(Ok(_)) => Ok(Self { uid, pass }),
            Some(Err(error)) => Err(refuse(&error.to_string())),
            None => Err(refuse("no such carrier")),
        }
    }

    /// The token speaks of the agent itself: for what concerns no single delivery.
    pub(super) fn for_itself(&self) -> Result<(), Problem> {
        self.allow(self.pass.sub == self.pass.iss && self.pass.upc.is_none())
    }

    /// The token speaks of this delivery, and the delivery is one this carrier has to do with.
    pub(super) fn for_delivery(&self, service: &Shared, delivery: &Delivery) -> Result<Arc<Log>, Problem> {
        let uid = delivery.metadata.uid.as_deref();
        let own = uid == Some(self.pass.sub.as_str()) && self.pass.upc.as_ref() == Some(&delivery.spec.upc);
        self.allow(own)?;
        let log = service.log(delivery).ok_or_else(unknown_delivery)?;
        let concerned = report::concerns(&log, &self.uid, service.names(delivery, &self.uid));
        if concerned { Ok(log) } else { Err(unknown_delivery()) }
    }

    /// The same, and the job is this carrier's now: not that of one who only had a word in it before.
    pub(super) fn for_its_job(&self, service: &Shared, delivery: &Delivery) -> Result<Arc<Log>, Problem> {
        let log = self.for_delivery(service, delivery)?;
        let its_job = report::is_its_job(&log, &self.uid, service.names(delivery, &self.uid));
        if its_job { Ok(log) } else { Err(unknown_delivery()) }
    }

    /// After a body that took its time: a carrier may have been revoked meanwhile.
    pub(super) fn still_trusted(&self, service: &Shared) -> Result<(), Problem> {
        check_revoked(service, &self.uid)
    }

    /// The delivery of the token, which must be that of the path.
    pub(super) fn delivery_by_upc(&self, service: &Shared, upc: &str) -> Result<Arc<Delivery>, Problem> {
        self.allow(self.pass.upc.as_deref() == Some(upc))?;
        let delivery = service.deliveries.get(&self.pass.sub).filter(|delivery| delivery.spec.upc == upc);
        delivery.ok_or_else(unknown_delivery)
    }

    pub(super) fn delivery_by_uid(&self, service: &Shared, uid: &str) -> Result<Arc<Delivery>, Problem> {
        self.allow(self.pass.sub == uid)?;
        service.deliveries.get(uid).ok_or_else(unknown_delivery)
    }

    fn allow(&self, good: bool) -> Result<(), Problem> {
        if good {
            return Ok(());
        }
        tracing::info!(carrier = %self.uid, "refused an agent's token: it is for something else");
        Err(jwt::Refusal::Audience.problem())
    }
}

/// The watch may be ahead of the published list.
fn check_revoked(service: &Shared, uid: &Uid) -> Result<(), Problem> {
    let revoked = service.carriers.is_revoked(uid.as_str());
    if revoked { Err(Problem::new(REVOKED, "this carrier is revoked")) } else { Ok(()) }
}

/// Somebody who may look at the delivery of the path: with a view token for it, or with a Kubernetes token whose bearer
/// may `get` it.
pub(super) struct Viewer {
    pub(super) delivery: Arc<Delivery>,
    pub(super) log: Arc<Log>,
}

impl FromRequestParts<Service> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let upc = upc(parts, service).await?;
        let which = Which::of(parts)?;
        Self::find(service, bearer(&parts.headers)?, &upc, which.uid.as_deref()).await?.ok_or_else(unknown_delivery)
    }
}

/// Which of the deliveries that have or had a UPC; the one that runs, or ended last, unless it is said.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Which {
    /// The Delivery's uid
    pub(super) uid: Option<String>,
}

impl Which {
    pub(super) fn of(parts: &Parts) -> Result<Self, Problem> {
        let Query(which) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::new(MALFORMED, format!("the query can't be read: {error}")))?;
        Ok(which)
    }
}

impl Viewer {
    /// `None` where the bearer may look, and no delivery of this UPC is in the cluster.
    pub(super) async fn find(
        service: &Shared,
        token: &str,
        upc: &str,
        uid: Option<&str>,
    ) -> Result<Option<Self>, Problem> {
        let delivery = match service.views.check(token) {
            Ok(pass) => Some(of_pass(service, &pass, upc)?),
            // Not one of ours: the API server knows whose it is.
            Err(jwt::Refusal::Header | jwt::Refusal::Shape) => of_user(service, token, upc, uid).await?,
            Err(refusal) => {
                tracing::info!(%refusal, "refused a view token");
                return Err(refusal.problem());
            }
        };
        let Some(delivery) = delivery else { return Ok(None) };
        let log = service.log(&delivery).ok_or_else(unknown_delivery)?;
        Ok(Some(Self { delivery, log }))
    }
}

fn of_pass(service: &Shared, pass: &Pass, upc: &str) -> Result<Arc<Delivery>, Problem> {
    if pass.upc.as_deref() != Some(upc) {
        tracing::info!("refused a view token: it is for another delivery");
        return Err(jwt::Refusal::Audience.problem());
    }
    let delivery = service.deliveries.get(&pass.sub).filter(|delivery| delivery.spec.upc == upc);
    delivery.ok_or_else(unknown_delivery)
}

async fn of_user(
    service: &Shared,
    token: &str,
    upc: &str,
    uid: Option<&str>,
) -> Result<Option<Arc<Delivery>>, Problem> {
    let mut deliveries = service.deliveries.by_upc(upc);
    deliveries.retain(|delivery| uid.is_none_or(|uid| delivery.metadata.uid.as_deref() == Some(uid)));
    let name = |delivery: &Arc<Delivery>| delivery.metadata.name.clone().unwrap_or_default();
    first_readable(service, token, deliveries, name).await
}

/// The first part of the path that varies.
async fn upc(parts: &mut Parts, service: &Service) -> Result<String, Problem> {
    let extractor = Checked::<Path<Vec<(String, String)>>>::from_request_parts(parts, service);
    let Checked(Path(named)) = extractor.await?;
    Ok(named.into_iter().find(|(name, _)| name == "upc").map(|(_, upc)| upc).unwrap_or_default())
}

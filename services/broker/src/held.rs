//! What is in use, and what becomes of it when the cluster says something new. Pure: data and an hour in, findings out.
//!
//! Four parts, judged apart: a damaged access list must not hold up a revocation. Each part keeps its last good value
//! until a better one is offered; revocations are tried with the bundle in use when the new bundle does not fit them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ClientConfig;
use waybill_chassis::tls::Material;

use crate::access::{self, Access};
use crate::admin::{self, Admin};
use crate::inputs::{Inputs, entry};
use crate::revoked::{self, Revoked};
use crate::trust::{Floor, Trust, Unfit};

/// The parts, as the readiness page and the metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Server,
    Revocations,
    Admin,
    Access,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Server, Self::Revocations, Self::Admin, Self::Access];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server-certificate",
            Self::Revocations => "revocations",
            Self::Admin => "admin-certificate",
            Self::Access => "access-lists",
        }
    }
}

/// Why what the cluster offers for a part is not in use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("no server certificate")]
    NoServer,
    #[error("failed to use the server certificate")]
    Server(#[source] waybill_chassis::tls::Error),
    #[error("failed to use the revocations")]
    Revocations(#[source] Unfit),
    #[error("revocations are in use, but whose sessions they end is unknown")]
    Revoked(#[source] revoked::Error),
    #[error("failed to use the admin certificate")]
    Admin(#[source] admin::Error),
    #[error("failed to use the access lists")]
    Access(#[source] access::Error),
}

impl Problem {
    /// The reason in fixed words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NoServer => "no server certificate",
            Self::Server(_) => "damaged server certificate",
            Self::Revocations(unfit) => unfit.word(),
            Self::Revoked(_) => "revoked.json unreadable: live sessions are not ended",
            Self::Admin(error) => error.word(),
            Self::Access(error) => error.word(),
        }
    }
}

/// The listeners' certificate.
#[derive(Clone, PartialEq, Eq)]
struct Server {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// What is in use.
#[derive(Default)]
pub(crate) struct Held {
    server: Option<Server>,
    trust: Option<Trust>,
    admin: Option<Admin>,
    access: Option<Access>,
    floor: Floor,
    revoked: Option<Revoked>,
}

/// What one look at the inputs brought.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: BTreeMap<Part, Problem>,
    /// Uids whose live sessions must end now.
    pub(crate) cut: Vec<String>,
    /// True when `cut` is everybody the list names, because there was no list before: nobody is likely to be connected.
    pub(crate) sweep: bool,
}

/// The files of the broker, by name.
pub(crate) type FileSet = BTreeMap<&'static str, Vec<u8>>;

impl Held {
    /// Takes over what an earlier life of this process left for the broker, so that nothing older is used now.
    pub(crate) fn inherit(&mut self, bundle: Option<&[u8]>, crl: Option<&[u8]>, now: Timestamp) {
        match Trust::new(bundle, crl, now) {
            Ok(trust) => self.hold(trust),
            Err(Unfit::NoBundle | Unfit::NoList) => {}
            Err(unfit) => tracing::warn!(error = %unfit, "the revocations of an earlier run are of no use"),
        }
    }

    /// Judges every part anew.
    pub(crate) fn consider(&mut self, inputs: &Inputs, now: Timestamp) -> Findings {
        let mut findings = Findings::default();
        if let Err(problem) = self.consider_server(inputs) {
            findings.problems.insert(Part::Server, problem);
        }
        if let Err(problem) = self.consider_trust(inputs, now, &mut findings) {
            findings.problems.insert(Part::Revocations, problem);
        }
        if let Err(error) = Admin::new(inputs.admin.as_ref()).map(|admin| self.admin = Some(admin)) {
            findings.problems.insert(Part::Admin, Problem::Admin(error));
        }
        if let Err(error) = Access::new(inputs.access.as_ref()).map(|access| self.access = Some(access)) {
            findings.problems.insert(Part::Access, Problem::Access(error));
        }
        findings
    }

    fn consider_server(&mut self, inputs: &Inputs) -> Result<(), Problem> {
        let part = |key| entry(inputs.server.as_ref(), key).ok_or(Problem::NoServer);
        let (chain, key) = (part("tls.crt")?, part("tls.key")?);
        // Checked against itself: the bundle is judged with the revocations.
        Material::from_pem(chain, key, chain).map_err(Problem::Server)?;
        self.server = Some(Server { chain: chain.to_vec(), key: key.to_vec() });
        Ok(())
    }

    fn consider_trust(&mut self, inputs: &Inputs, now: Timestamp, findings: &mut Findings) -> Result<(), Problem> {
        let bundle = entry(inputs.server.as_ref(), "ca.crt");
        let lists = entry(inputs.revocations.as_ref(), "crl.pem");
        let fit = |bundle, lists| {
            let trust = Trust::new(bundle, lists, now)?;
            self.floor.check(&trust).map(|()| trust)
        };
        let offered = fit(bundle, lists);
        // A bundle that lacks a list must not keep a revocation out, nor a broken list a withdrawn authority in.
        let held = self.trust.as_ref();
        let fallback = || {
            let (held_bundle, held_lists) = held.map(|held| (held.bundle.as_slice(), held.crl.as_slice()))?;
            let new_lists = fit(Some(held_bundle), lists).map(|trust| (trust, true));
            new_lists.or_else(|_| fit(bundle, Some(held_lists)).map(|trust| (trust, false))).ok()
        };
        let (chosen, problem) = match offered {
            Ok(trust) => (Some((trust, true)), None),
            Err(unfit) => (fallback(), Some(Problem::Revocations(unfit))),
        };
        if let Some((trust, lists_are_new)) = chosen {
            self.hold(trust);
            if lists_are_new {
                self.consider_revoked(inputs, now, findings).map_err(Problem::Revoked)?;
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn hold(&mut self, trust: Trust) {
        self.floor.raise(&trust);
        self.trust = Some(trust);
    }

    fn consider_revoked(
        &mut self,
        inputs: &Inputs,
        now: Timestamp,
        findings: &mut Findings,
    ) -> Result<(), revoked::Error> {
        let next = Revoked::parse(entry(inputs.revocations.as_ref(), "revoked.json"), now)?;
        let before = self.revoked.replace(next.clone());
        findings.sweep = before.is_none();
        findings.cut = next.since(&before.unwrap_or_default()).map(str::to_owned).collect();
        Ok(())
    }

    /// The broker's files, once every part has a value.
    pub(crate) fn files(&self) -> Option<FileSet> {
        let (server, trust) = (self.server.as_ref()?, self.trust.as_ref()?);
        let (admin, access) = (self.admin.as_ref()?, self.access.as_ref()?);
        let mut files = FileSet::from([
            ("server.crt", server.chain.clone()),
            ("server.key", server.key.clone()),
            ("participants-ca.crt", trust.bundle.clone()),
            ("crl.pem", trust.crl.clone()),
            ("admin-ca.crt", admin.authority().to_vec()),
        ]);
        files.extend(access.files());
        Some(files)
    }

    /// How to reach the admin listener: our certificate there, the name and the authorities of the broker's.
    pub(crate) fn admin(&self) -> Option<(Arc<ClientConfig>, String)> {
        let (server, trust) = (self.server.as_ref()?, self.trust.as_ref()?);
        let config = self.admin.as_ref()?.client(&trust.bundle).ok()?;
        Some((Arc::new(config), admin::server_name(&server.chain)?))
    }

    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        match part {
            Part::Server => self.server.is_some(),
            Part::Revocations => self.trust.is_some(),
            Part::Admin => self.admin.is_some(),
            Part::Access => self.access.is_some(),
        }
    }

    /// True for uids the list in use names.
    pub(crate) fn revokes(&self, uid: &str) -> bool {
        self.revoked.as_ref().is_some_and(|revoked| revoked.names(uid))
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;

//! The broker's two Secrets: its server certificate, from the participants' CA, and the one client certificate of its admin listener,
//! from a CA of its own that nobody else is known to.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::ca::lifecycle::Policy;
use super::ca::store::Store;
use super::ca::{Authority, Error as CaError};
use super::leaf::{self, Current, Decision};
use super::ledger::{Kind, Owner};
use super::participant::tls::{BUNDLE, CERTIFICATE, KEY};
use super::participant::{keyring, tls};
use super::secret;
use super::serial::Serial;
use super::x509::key::PrivateKey;
use super::x509::{Names, Usage};
use super::{Error, Inner, labels, names};

const NAME: &str = "waybill-broker";
const ADMIN: &str = "waybill-broker-admin";
const ADMIN_CA: &str = "waybill-broker-admin-ca";
/// The broker reads the admin CA only when it starts, so that one lives long and is rotated by cross-signing like the other.
const ADMIN_CA_TTL: SignedDuration = SignedDuration::from_hours(24 * 3650);
const ADMIN_OVERLAP: SignedDuration = SignedDuration::from_hours(24 * 30);
const ADMIN_TTL: SignedDuration = SignedDuration::from_hours(24 * 30);
const SERVER_TTL: SignedDuration = SignedDuration::from_hours(72);

/// Both Secrets. Nothing for a broker that is not ours.
pub(crate) async fn ensure(inner: &Inner, now: Timestamp) -> Result<(), Error> {
    if inner.settings.broker_url.is_some() {
        return Ok(());
    }
    server(inner, now).await?;
    admin(inner, now).await
}

/// The listener's certificate serves carriers, sellers and the sidecar alike; the bundle in it is who may connect.
async fn server(inner: &Inner, now: Timestamp) -> Result<(), Error> {
    let namespace = inner.settings.namespace.clone();
    let owner = Owner { kind: Kind::Broker, namespace, name: NAME.into(), uid: NAME.into() };
    let wanted = tls::Wanted {
        owner: &owner,
        controller: None,
        labels: labels::of("broker"),
        secret: &names::secrets(Kind::Broker, NAME).tls,
        names: names::served(&inner.settings.broker_host, &inner.settings.broker_external_names),
        usage: names::usage(Kind::Broker),
        ttl: SERVER_TTL,
        renew_before: None,
    };
    tls::ensure(inner, &wanted, now).await.map(drop)
}

async fn admin(inner: &Inner, now: Timestamp) -> Result<(), Error> {
    let store = Store {
        client: inner.client.clone(),
        namespace: inner.settings.namespace.clone(),
        name: ADMIN_CA,
        prefix: "admin-",
        ttl: ADMIN_CA_TTL,
        policy: Policy { overlap: ADMIN_OVERLAP, longest_leaf: ADMIN_TTL },
    };
    let mut authority = store.load_or_create(None, false, now).await.map_err(Error::Authority)?;
    // Published is what the Secret below says, and that is written on every round.
    if store.step(&authority, true, &[], now).await.map_err(Error::Authority)?.is_some() {
        authority = store.load_or_create(None, false, now).await.map_err(Error::Authority)?;
    }
    client(inner, &authority, now).await
}

/// The sidecar's own certificate, with its key.
async fn client(inner: &Inner, authority: &Authority, now: Timestamp) -> Result<(), Error> {
    let held = keyring::read(inner, &inner.settings.namespace, ADMIN, None).await?;
    let key = held.data.text(KEY).and_then(|pem| PrivateKey::from_pem(pem).ok());
    let (key, kept) = match key {
        Some(key) => (key, true),
        None => (PrivateKey::generate().map_err(Error::Key)?, false),
    };
    let current = held.data.text(CERTIFICATE).and_then(|chain| Current::read(chain, authority));
    let chain = match decide(authority, current.as_ref(), &wanted(&key), now) {
        Decision::Keep { .. } => held.data.text(CERTIFICATE).unwrap_or_default().to_owned(),
        Decision::Issue(_) => issue(authority, &wanted(&key), &key, now)
            .map_err(|source| Error::Sign { owner: format!("Secret {ADMIN}"), source })?,
    };
    let bundle = authority.bundle();
    if kept && held.data.text(CERTIFICATE) == Some(&chain) && held.data.text(BUNDLE) == Some(&bundle) {
        return Ok(());
    }
    let data =
        [(CERTIFICATE, chain.into_bytes()), (KEY, key.to_pem().as_bytes().to_vec()), (BUNDLE, bundle.into_bytes())];
    let data: BTreeMap<_, _> = data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(ADMIN.into()),
            namespace: Some(inner.settings.namespace.clone()),
            labels: Some(labels::of("broker")),
            resource_version: held.resource_version,
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(data),
        ..Secret::default()
    };
    // Somebody else's write is as good; the next round sees to it.
    let written = tls::put(inner, &secret).await;
    secret::wipe(secret);
    written.map(drop)
}

fn wanted(key: &PrivateKey) -> leaf::Wanted {
    leaf::Wanted {
        uid: "waybill-broker-sidecar".into(),
        names: Names::default(),
        usage: Usage::Client,
        ttl: ADMIN_TTL,
        renew_before: None,
        spki_sha256: key.spki_sha256(),
    }
}

fn decide(authority: &Authority, current: Option<&Current>, wanted: &leaf::Wanted, now: Timestamp) -> Decision {
    let active = authority.active();
    let issuer = leaf::Issuer {
        fingerprint: active.fingerprint(),
        since: authority.state.active.since,
        not_after: active.facts.not_after,
        spread: SignedDuration::ZERO,
    };
    leaf::decide(current, false, wanted, &issuer, now)
}

/// Not in the ledger: this CA has one client and no list of revocations; its answer to a lost key is a new Secret.
fn issue(authority: &Authority, wanted: &leaf::Wanted, key: &PrivateKey, now: Timestamp) -> Result<String, CaError> {
    let ca = authority.active();
    let serial = Serial::from_entropy(rand::random());
    let leaf = leaf::issue(wanted, serial, key, ca, leaf::issued(now, ca))?;
    Ok(leaf + &authority.chain())
}

//! ConfigMap `waybill-trust` in every namespace with participants: whom to believe, who is refused, where broker and Carrier API are.
//! What it should say is pure; it is written only when that differs from what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use sha2::{Digest, Sha256};
use waybill_crds::FIELD_MANAGER;

use super::ca::{Authority, store};
use super::crl::render::Published;
use super::{Error, Inner, Settings, labels, names};

pub(crate) const NAME: &str = "waybill-trust";
pub(crate) const COMPONENT: &str = "trust";
const REVOKED: &str = "revoked.json";
/// Authorities that issue no more: their statements count where they stand in a log, and nowhere else.
const FORMER: &str = "former-ca.crt";
const STATEMENT: &str = "carrier-api-statement";
const AT_ONCE: usize = 8;

/// Namespaces with participants, and what was last seen in the ConfigMap of each.
#[derive(Default)]
pub(crate) struct Places(Mutex<BTreeMap<String, Place>>);

#[derive(Clone, Debug, Default)]
struct Place {
    /// Hash of what is known to be there.
    holds: Option<[u8; 32]>,
    /// The Carrier API's key statement: here it is kept, since it has no custom resource of its own.
    statement: Option<String>,
}

impl Places {
    fn with<T>(&self, then: impl FnOnce(&mut BTreeMap<String, Place>) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.with(|places| places.keys().cloned().collect())
    }

    pub(crate) fn add(&self, namespaces: impl IntoIterator<Item = String>) {
        self.with(|places| {
            for namespace in namespaces {
                places.entry(namespace).or_default();
            }
        });
    }

    pub(crate) fn remove(&self, namespace: &str) {
        self.with(|places| _ = places.remove(namespace));
    }

    fn get(&self, namespace: &str) -> Place {
        self.with(|places| places.entry(namespace.to_owned()).or_default().clone())
    }

    /// Only in a place that is still known: a namespace that was left meanwhile does not come back.
    fn update(&self, namespace: &str, change: impl FnOnce(&mut Place)) {
        self.with(|places| places.get_mut(namespace).map(change));
    }
}

/// What the ConfigMap of one namespace should say.
fn content(
    settings: &Settings,
    authority: &Authority,
    published: &Published,
    namespace: &str,
    statement: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    let (broker, broker_sellers) = broker_addresses(settings);
    let api = names::CARRIER_API;
    let former = authority.former();
    let sign = |name: &str, text: &str| match text {
        "" => Ok(String::new()),
        text => authority.sign_published(name, text).map_err(|source| Error::Authority(store::Error::Make(source))),
    };
    let signatures = (sign(REVOKED, &published.revoked_json)?, sign(FORMER, &former)?);
    let said = [
        ("ca.crt", authority.bundle()),
        ("cross.crt", authority.crosses()),
        ("root-fingerprint", authority.root().fingerprint().to_string()),
        (REVOKED, published.revoked_json.clone()),
        ("revoked.sig", signatures.0),
        (FORMER, former),
        ("former-ca.sig", signatures.1),
        ("crl.pem", published.crl_pem.clone()),
        ("broker", broker),
        ("broker-sellers", broker_sellers),
        ("broker-external", settings.broker_external_names.join(",")),
        ("carrier-api", format!("https://{api}.{namespace}.svc:5001")),
        ("carrier-api-external", settings.carrier_api_external_names.join(",")),
        ("board", settings.board_url.clone().unwrap_or_default()),
        (STATEMENT, statement.unwrap_or_default().to_owned()),
    ];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    Ok(said.map(|(key, text)| (key.to_owned(), text)).collect())
}

/// Of the carriers' and the sellers' listener: host and port.
fn broker_addresses(settings: &Settings) -> (String, String) {
    match &settings.broker_url {
        Some(url) => {
            let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
            let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:8883") };
            (address.clone(), address)
        }
        None => (format!("{}:8883", settings.broker_host), format!("{}:8884", settings.broker_host)),
    }
}

fn hash(content: &BTreeMap<String, String>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (key, text) in content {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// Makes sure of one namespace; costs nothing when what it should say was there before.
pub(crate) async fn ensure(inner: &Inner, namespace: &str) -> Result<(), Error> {
    let (authority, published) = inner.ready()?;
    let place = inner.trust.get(namespace);
    let content = content(&inner.settings, &authority, &published, namespace, place.statement.as_deref())?;
    if place.holds == Some(hash(&content)) {
        return Ok(());
    }
    apply(inner, namespace).await
}

/// The Carrier API's statement as it stands.
pub(crate) async fn statement(inner: &Inner, namespace: &str) -> Result<Option<String>, Error> {
    ensure(inner, namespace).await?;
    Ok(inner.trust.get(namespace).statement)
}

pub(crate) async fn set_statement(inner: &Inner, namespace: &str, statement: String) -> Result<(), Error> {
    inner.trust.update(namespace, |place| place.statement = Some(statement));
    ensure(inner, namespace).await
}

/// Reads what is there and writes what should be, if that differs.
async fn apply(inner: &Inner, namespace: &str) -> Result<(), Error> {
    let (authority, published) = inner.ready()?;
    let what = || format!("ConfigMap {namespace}/{NAME}");
    let api: Api<ConfigMap> = Api::namespaced(inner.client.clone(), namespace);
    let found = api.get_opt(NAME).await.map_err(Error::api("read", what()))?;
    let data = found.and_then(|map| map.data).unwrap_or_default();
    let kept = data.get(STATEMENT).cloned();
    inner.trust.update(namespace, |place| place.statement = place.statement.take().or(kept));
    let place = inner.trust.get(namespace);
    let wanted = content(&inner.settings, &authority, &published, namespace, place.statement.as_deref())?;
    if wanted.iter().any(|(key, text)| data.get(key) != Some(text)) {
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels::of(COMPONENT)),
                ..ObjectMeta::default()
            },
            data: Some(wanted.clone()),
            ..ConfigMap::default()
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch(NAME, &params, &Patch::Apply(&map)).await {
            Err(error) if is_left(&error) => {
                inner.trust.remove(namespace);
                return Ok(());
            }
            written => written.map_err(Error::api("write", what()))?,
        };
    }
    inner.trust.update(namespace, |place| place.holds = Some(hash(&wanted)));
    Ok(())
}

/// The namespace itself is gone, or goes: nobody is left there to tell, and the others must not wait for it.
fn is_left(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let Some(details) = &status.details else { return false };
    let goes = details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    goes || (status.is_not_found() && details.kind == "namespaces")
}

/// Every known namespace, several at once. `verify`: read each, even where nothing should have changed. The first failure is
/// returned after all were tried.
pub(crate) async fn apply_all(inner: &Inner, verify: bool) -> Result<(), Error> {
    let apply = |namespace: String| async move {
        let done = if verify { apply(inner, &namespace).await } else { ensure(inner, &namespace).await };
        done.inspect_err(|_| inner.trust.update(&namespace, |place| place.holds = None))
    };
    let done: Vec<_> = stream::iter(inner.trust.names()).map(apply).buffer_unordered(AT_ONCE).collect().await;
    done.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn settings() -> Settings {
        Settings {
            namespace: "waybill-system".into(),
            broker_host: "waybill-broker.waybill-system.svc".into(),
            broker_url: None,
            broker_external_names: vec!["mqtt.example.com".into()],
            board: true,
            board_external_names: vec!["board.example.com".into()],
            carrier_api_external_names: Vec::new(),
            board_url: Some("https://board.example.com".into()),
            ca_ttl: std::time::Duration::from_secs(3600),
            ca_overlap: std::time::Duration::from_secs(60),
        }
    }

    #[test]
    fn it_says_whom_to_believe_who_is_refused_and_where_to_go() {
        let authority = crate::identity::ca::tests::authority();
        let published = Published::new(Default::default(), "crl".into(), "{}".into());
        let said = content(&settings(), &authority, &published, "shop", Some("c3RhdGVtZW50")).unwrap();
        assert_eq!(said["root-fingerprint"], authority.active().fingerprint().to_string());
        assert_eq!(said["broker"], "waybill-broker.waybill-system.svc:8883");
        assert_eq!(said["broker-sellers"], "waybill-broker.waybill-system.svc:8884");
        assert_eq!(said["carrier-api"], "https://waybill-carrier-api.shop.svc:5001");
        assert_eq!(said["carrier-api-statement"], "c3RhdGVtZW50");
        assert!(!said.contains_key("carrier-api-external"), "what is empty is left out");
        assert!(!said.contains_key("former-ca.crt") && !said.contains_key("former-ca.sig"));
    }

    /// Whoever gets it from a Carrier API checks that the operator said it; and it is written only when it changes.
    #[test]
    fn what_travels_through_other_hands_is_signed_by_the_authority_that_issues() {
        use crate::identity::ca::lifecycle::Step;
        use crate::identity::ca::tests::{authority, rotate, take};
        let (first, now) = (authority(), jiff::Timestamp::now());
        let second = take(&rotate(&first, now), &Step::Retire(first.active().id.clone()), now);
        let published = Published::new(Default::default(), "crl".into(), "{}".into());
        let said = content(&settings(), &second, &published, "shop", None).unwrap();
        assert_eq!(said["former-ca.crt"], first.active().certificate_pem());
        assert!(!said["ca.crt"].contains(said["former-ca.crt"].trim()), "apart from those that count");
        assert_eq!(said, content(&settings(), &second, &published, "shop", None).unwrap(), "the same again");
        let keys = [second.active().statement_key().unwrap()];
        for (name, signature) in [("revoked.json", "revoked.sig"), ("former-ca.crt", "former-ca.sig")] {
            let signature = STANDARD.decode(&said[signature]).unwrap();
            let verify = |name: &str, text: &str, keys: &[waybill_protocol::CaKey]| {
                waybill_protocol::published::verify(name, text.as_bytes(), &signature, keys)
            };
            assert_eq!(verify(name, &said[name], &keys), Ok(()));
            assert!(verify("another", &said[name], &keys).is_err(), "under another name");
            assert!(verify(name, &format!("{} ", said[name]), &keys).is_err(), "bent");
            assert!(verify(name, &said[name], &[first.active().statement_key().unwrap()]).is_err(), "by another");
        }
    }

    #[test]
    fn another_broker_is_named_by_its_address() {
        let url = |url: &str| broker_addresses(&Settings { broker_url: Some(url.into()), ..settings() }).0;
        assert_eq!(url("mqtts://mq.example.com:8900/"), "mq.example.com:8900");
        assert_eq!(url("mqtts://mq.example.com"), "mq.example.com:8883");
    }

    #[test]
    fn only_the_end_of_the_namespace_itself_is_no_failure() {
        let refused = |status: serde_json::Value| {
            kube::Error::Api(serde_json::from_value::<kube::core::Status>(status).unwrap().boxed())
        };
        let status = |code: u16, reason: &str, kind: &str, causes: serde_json::Value| {
            let details = serde_json::json!({"name": "shop", "kind": kind, "causes": causes});
            refused(serde_json::json!({"status": "Failure", "code": code, "reason": reason, "details": details}))
        };
        let none = || serde_json::json!([]);
        let going = serde_json::json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]);
        assert!(is_left(&status(404, "NotFound", "namespaces", none())));
        assert!(is_left(&status(403, "Forbidden", "configmaps", going)));
        assert!(!is_left(&status(404, "NotFound", "configmaps", none())));
        assert!(!is_left(&status(403, "Forbidden", "configmaps", none())), "without rights is not without a namespace");
    }

    #[test]
    fn a_namespace_that_was_left_does_not_come_back_by_itself() {
        let places = Places::default();
        places.add(["shop".to_owned()]);
        places.remove("shop");
        places.update("shop", |place| place.holds = Some([0; 32]));
        assert!(places.names().is_empty());
    }
}

//! Everybody who may come: a seller, carriers, users of the cluster, people with links; each with real credentials, over TLS.

use std::collections::BTreeMap;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use reqwest::{Client, Method, Response};
use rustls::ClientConfig;
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::agent::{anonymous_config, client_config};
use waybill_e2e::enrol::Keys;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, PROVISIONED, apply, config, delivery, service, wait_condition};
use waybill_e2e::{Namespace, eventually};

use crate::people::{account, token};
use crate::tokens::{self, About, claims, key, now, sign};

/// Delivered, with its log: what viewers and users look at.
pub(crate) const DONE: &str = "upc-1";
/// Not begun, and the external carrier's: what its agent is about.
pub(crate) const OPEN: &str = "upc-2";

/// What somebody shows.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) certificate: Option<Arc<ClientConfig>>,
    /// The same as PEM, for programs of others: chain and key.
    pub(crate) pem: Option<(String, String)>,
    pub(crate) bearer: Option<String>,
    pub(crate) cookie: Option<String>,
}

impl Shown {
    pub(crate) fn bearer(token: impl Into<String>) -> Self {
        Self { bearer: Some(token.into()), ..Self::default() }
    }

    pub(crate) fn cookie(text: impl Into<String>) -> Self {
        Self { cookie: Some(text.into()), ..Self::default() }
    }
}

/// An external carrier with its keys and its certificate.
pub(crate) struct Outside {
    keys: Keys,
    chain: String,
    pub(crate) uid: String,
}

impl Outside {
    async fn enrol(namespace: &Namespace, name: &str) -> Self {
        let keys = Keys::fresh();
        let object = apply::<Carrier>(namespace, &keys.carrier(&namespace.name, name)).await.unwrap();
        let carrier = wait_condition::<Carrier>(namespace, name, "CertificatesIssued", "True", None).await;
        let chain = carrier.status.and_then(|status| status.certificate?.pem).unwrap();
        Self { keys, chain, uid: object.uid().unwrap() }
    }

    /// Its certificate, with this token.
    pub(crate) fn with(&self, trust: &str, token: Option<String>) -> Shown {
        let key = self.keys.tls.serialize_pem();
        let certificate = Some(Arc::new(client_config(trust, &self.chain, &key)));
        Shown { certificate, pem: Some((self.chain.clone(), key)), bearer: token, cookie: None }
    }

    /// A token it signs, about a delivery (uid and UPC) or, without one, about itself.
    pub(crate) fn token(&self, about: Option<(&str, &str)>, audience: &str, at: u64) -> String {
        let (subject, upc) = about.map_or((self.uid.as_str(), None), |(uid, upc)| (uid, Some(upc)));
        let about = About { issuer: &self.uid, audience, subject, upc, at };
        sign(&self.keys.signing, "wb-carrier-api+jwt", &claims(&about))
    }
}

/// One API, where it is reached.
pub(crate) struct Api {
    pub(crate) host: String,
    pub(crate) address: std::net::SocketAddr,
}

pub(crate) struct Cast {
    pub(crate) namespace: Namespace,
    pub(crate) trust: String,
    pub(crate) carrier_api: Api,
    pub(crate) seller_api: Api,
    pub(crate) board: Api,
    pub(crate) van: Outside,
    pub(crate) cart: Outside,
    pub(crate) uids: BTreeMap<&'static str, String>,
    pub(crate) seller_uid: String,
    pub(crate) seller_key: SigningKey,
    pub(crate) api_key: SigningKey,
    pub(crate) api_uid: String,
}

impl Cast {
    pub(crate) async fn assemble(namespace: Namespace) -> Self {
        objects::seller(&namespace, "shop", &[DONE, OPEN]).await;
        let truck = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "truck"},
            "spec": {"kind": "truck", "camera": true, "transport": {"managed": {"pace": "0s"}}}});
        apply::<Carrier>(&namespace, &truck).await.unwrap();
        let mut done = delivery(DONE, "shop", "truck");
        done["spec"]["proof"] = json!({"photo": true, "scan": false});
        apply::<Delivery>(&namespace, &done).await.unwrap();
        let (van, cart) = (Outside::enrol(&namespace, "van").await, Outside::enrol(&namespace, "cart").await);
        apply::<Delivery>(&namespace, &delivery(OPEN, "shop", "van")).await.unwrap();
        wait_condition::<Delivery>(&namespace, OPEN, "Admitted", "True", None).await;
        everybody(&namespace).await;
        proved(&namespace).await;

        let trust = config(&namespace, "waybill-trust", "ca.crt").await;
        let mut uids = BTreeMap::new();
        for name in [DONE, OPEN] {
            uids.insert(name, namespace.api::<Delivery>().get(name).await.unwrap().uid().unwrap());
        }
        let seller_uid = namespace.api::<Seller>().get("shop").await.unwrap().uid().unwrap();
        let seller_key = key(&secret(&namespace, "wb-seller-shop-keys", "ed25519.seed").await);
        let api_key = key(&secret(&namespace, "waybill-carrier-api-keys", "ed25519.seed").await);
        let api = async |place: &str, name: &str, port| Api {
            host: format!("{name}.{place}.svc"),
            address: service(&namespace.client, place, name, port).await,
        };
        let (carrier_api, seller_api, board) = (
            api(&namespace.name, "waybill-carrier-api", 5001).await,
            api(&namespace.name, "wb-seller-shop", 5000).await,
            api(SYSTEM, "waybill-board", 5002).await,
        );
        let mut cast = Self {
            namespace,
            trust,
            carrier_api,
            seller_api,
            board,
            van,
            cart,
            uids,
            seller_uid,
            seller_key,
            api_key,
            api_uid: String::new(),
        };
        cast.api_uid = cast.issuer().await;
        cast
    }

    pub(crate) fn uid(&self, upc: &str) -> &str {
        &self.uids[upc]
    }

    /// A view token as the Carrier API would sign it: with its own key, taken from its Secret.
    pub(crate) fn view(&self, upc: &str, audience: &str, at: u64) -> String {
        let about = About { issuer: &self.api_uid, audience, subject: self.uid(upc), upc: Some(upc), at };
        sign(&self.api_key, "wb-view+jwt", &claims(&about))
    }

    /// A token for one part of an order, as the Seller's own distribution signs it.
    pub(crate) fn part(&self, upc: &str, stage: &str, at: u64) -> String {
        let about =
            About { issuer: &self.seller_uid, audience: "seller-api", subject: self.uid(upc), upc: Some(upc), at };
        let mut claims = claims(&about);
        claims["stage"] = json!(stage);
        sign(&self.seller_key, "wb-seller-api+jwt", &claims)
    }

    pub(crate) async fn user(&self, name: &str) -> String {
        token(&self.namespace, name, "waybill-carrier-api").await
    }

    /// A new grant for the delivered parcel, and its id.
    pub(crate) async fn grant(&self, role: &str) -> (String, String) {
        let reader = Shown::bearer(self.user("reader").await);
        let path = format!("/api/shipment/{DONE}/grants");
        let body = json!({"ttl": "1h", "role": role});
        let answer = self.ask(&self.carrier_api, (Method::POST, &path), &reader, Some(&body)).await;
        let said: Value = answer.json().await.unwrap();
        let text = |name: &str| said[name].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
        (text("grant"), text("id"))
    }

    /// What a grant is exchanged for.
    pub(crate) async fn exchange(&self, grant: &str) -> (u16, Value) {
        let body = json!({"grant": grant});
        let asked = (Method::POST, "/api/view-token");
        let answer = self.ask(&self.carrier_api, asked, &Shown::default(), Some(&body)).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Who signs view tokens: it stands in each of them.
    async fn issuer(&self) -> String {
        let (grant, _) = self.grant("viewer").await;
        let (_, said) = self.exchange(&grant).await;
        let token = said["token"].as_str().unwrap_or_else(|| panic!("{said}"));
        tokens::read(token)["iss"].as_str().unwrap().to_owned()
    }

    /// A session of the board, for the bearer of a Kubernetes token: its cookie.
    pub(crate) async fn session(&self, token: &str) -> String {
        let answer = self.ask(&self.board, (Method::POST, "/api/session"), &Shown::bearer(token), None).await;
        let said: Value = answer.json().await.unwrap();
        let code = said["code"].as_str().unwrap_or_else(|| panic!("{said}"));
        self.form("/login", &format!("code={code}")).await
    }

    /// A tracking link opened at the board: the visit's cookie.
    pub(crate) async fn visit(&self, grant: &str) -> String {
        self.form("/track/session", &format!("link={}.{grant}", self.namespace.name)).await
    }

    async fn form(&self, path: &str, body: &str) -> String {
        let request = client(&self.board, anonymous_config(&self.trust)).post(url(&self.board, path));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        let answer = request.send().await.unwrap();
        let cookie = answer.headers().get("set-cookie").unwrap_or_else(|| panic!("{path}: {}", answer.status()));
        cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn ask(
        &self,
        api: &Api,
        (method, path): (Method, &str),
        shown: &Shown,
        body: Option<&Value>,
    ) -> Response {
        let anonymous = || Arc::new(anonymous_config(&self.trust));
        let tls = shown.certificate.clone().unwrap_or_else(anonymous);
        let mut request = client(api, ClientConfig::clone(&tls)).request(method, url(api, path));
        if let Some(token) = &shown.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(cookie) = &shown.cookie {
            request = request.header("cookie", cookie);
        }
        request = match body {
            // A form, as a page sends it.
            Some(Value::String(form)) => {
                request.header("content-type", "application/x-www-form-urlencoded").body(form.clone())
            }
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// Takes a carrier's right to anything.
    pub(crate) async fn revoke(&self, name: &str) {
        let revoked = Patch::Merge(json!({"spec": {"revoked": true}}));
        self.namespace.api::<Carrier>().patch(name, &PatchParams::default(), &revoked).await.unwrap();
        wait_condition::<Carrier>(&self.namespace, name, "Ready", "False", Some("Revoked")).await;
    }

    pub(crate) fn now(&self) -> u64 {
        now()
    }
}

/// A user for each right, and one for none.
async fn everybody(namespace: &Namespace) {
    let all: [(&str, &[(&str, &str)]); 6] = [
        ("reader", &[("get", "deliveries")]),
        ("lister", &[("list", "deliveries")]),
        ("declarer", &[("create", "deliveries/declarations")]),
        ("note-reader", &[("get", "deliveries/declarations")]),
        ("viewer", &[("get", "deliveries"), ("list", "deliveries"), ("watch", "deliveries")]),
        ("stranger", &[]),
    ];
    for (name, rights) in all {
        account(namespace, name, rights).await;
    }
}

async fn proved(namespace: &Namespace) {
    eventually("the parcel is delivered, with its picture", PROVISIONED, || async {
        let delivery = namespace.api::<Delivery>().get(DONE).await.map_err(|why| why.to_string())?;
        let log: Vec<String> =
            delivery.status.iter().flat_map(|status| &status.custody).map(|entry| entry.event.clone()).collect();
        let proved = log.iter().any(|event| event == "ProofAttached");
        if delivery.phase() == Phase::Delivered && proved { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await;
}

async fn secret(namespace: &Namespace, name: &str, item: &str) -> Vec<u8> {
    let found = namespace.api::<Secret>().get(name).await.unwrap();
    found.data.unwrap().remove(item).unwrap().0
}

fn client(api: &Api, tls: ClientConfig) -> Client {
    let builder = Client::builder().tls_backend_preconfigured(tls).no_proxy().resolve(&api.host, api.address);
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn url(api: &Api, path: &str) -> String {
    format!("https://{}:{}{path}", api.host, api.address.port())
}

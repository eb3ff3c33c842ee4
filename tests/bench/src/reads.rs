//! GETs with a token at the Carrier API and the Seller API, beside a bare axum route behind the same TLS, in the same build.
//!
//! What is compared is how many requests a second of a server's own processor time serves: on a machine that runs the client too, the
//! rate that a client sees says as much about the client. Both are told. The bare route listens in the very network of the pod that it is
//! compared with: what the kernel does for a pod's bytes is neither's merit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use axum::routing::get;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use futures::future::try_join_all;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use waybill_chassis::jwt::{SigningKey, key_id};
use waybill_crds::{Carrier, Delivery, Phase, Seller, Stage, annotation};
use waybill_e2e::{node, objects, process as processes};

use crate::accounts;
use crate::cluster::{Setting, apply};
use crate::process::Process;
use crate::report::Report;
use crate::sample::Samples;

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);
const SELLER: &str = "reads";
const CARRIER: &str = "reads";
/// The part of the first leg is open for this long: longer than all rounds.
const PACE: &str = "30s";

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("GETs with a token beside a bare route …");
    let namespace = &setting.example;
    let deliveries: Api<Delivery> = Api::namespaced(setting.client.clone(), namespace);
    on_its_way(setting, &deliveries).await?;
    let trust = published(setting).await?;
    let viewed = carrier_api(setting, &trust).await?;
    compare("Carrier API, GET of a delivery", &viewed, report).await?;
    let part = seller_api(setting, &deliveries, &trust).await?;
    compare("Seller API, GET of an open part", &part, report).await?;
    // What follows begins without it, wherever the parcel is.
    let abandon = Patch::Merge(json!({"metadata": {"annotations": {annotation::ABANDON: "measured"}}}));
    deliveries.patch("reads-1", &PatchParams::default(), &abandon).await?;
    deliveries.delete("reads-1", &DeleteParams::default()).await?;
    Ok(())
}

/// Something to GET again and again, and the process that answers.
struct Target {
    client: Client,
    url: String,
    token: String,
    process: Process,
}

/// The rounds of both, in turn, so that whatever else goes on on this machine meets both.
async fn compare(what: &str, target: &Target, report: &mut Report) -> Result<()> {
    let bare = Bare::beside(target.process).await?;
    let (mut own, mut others, mut ratios) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let (rate, each) = round(&bare.target).await.context("the bare route")?;
        let (own_rate, own_each) = round(target).await.context(what.to_owned())?;
        others.push(rate);
        own.push(own_rate);
        ratios.push(each.as_secs_f64() / own_each.as_secs_f64());
    }
    report.line(
        &format!("{what}, by {CONNECTIONS} clients"),
        format!("{}; bare route {}", own.show("/s"), others.show("/s")),
    );
    report.at_least("… requests a second of processor time ÷ the bare route's", ratios.median(), 0.60, "×");
    report.at_least("… requests a second ÷ the bare route's", own.median() / others.median(), 0.60, "×");
    Ok(())
}

/// Requests a second, and the server's processor time for one. One that is not answered with 200 ends the run.
async fn round(target: &Target) -> Result<(f64, Duration)> {
    let (answered, before, start) = (Arc::new(AtomicUsize::new(0)), target.process.on_cpu()?, Instant::now());
    try_join_all((0..CONNECTIONS).map(|_| async {
        while start.elapsed() < ROUND {
            let answer = target.client.get(&target.url).bearer_auth(&target.token).send().await?;
            let (status, body) = (answer.status(), answer.bytes().await?);
            ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }))
    .await?;
    let (took, count) = (start.elapsed(), answered.load(Ordering::Relaxed));
    let cpu = target.process.on_cpu()?.saturating_sub(before);
    Ok((count as f64 / took.as_secs_f64(), cpu / u32::try_from(count)?))
}

/// A seller, a carrier that takes its time, and a parcel with it.
async fn on_its_way(setting: &Setting, deliveries: &Api<Delivery>) -> Result<()> {
    let (client, namespace) = (&setting.client, &setting.example);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("orders-{SELLER}")},
                        "stringData": {"reads-1": objects::order("reads-1")}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    secrets.patch(&format!("orders-{SELLER}"), &apply(), &Patch::Apply(secret)).await?;
    let body = |kind: &str, spec: Value| json!({"apiVersion": "waybill.dev/v1alpha1", "kind": kind, "metadata": {"name": SELLER}, "spec": spec});
    let sellers: Api<Seller> = Api::namespaced(client.clone(), namespace);
    sellers.patch(SELLER, &apply(), &Patch::Apply(body("Seller", json!({})))).await?;
    let carriers: Api<Carrier> = Api::namespaced(client.clone(), namespace);
    let spec = json!({"kind": "truck", "transport": {"managed": {"pace": PACE}}});
    carriers.patch(CARRIER, &apply(), &Patch::Apply(body("Carrier", spec))).await?;
    let parcel: Delivery = serde_json::from_value(objects::delivery("reads-1", SELLER, CARRIER))?;
    deliveries.create(&PostParams::default(), &parcel).await?;
    let accepted = await_condition(deliveries.clone(), "reads-1", |one: Option<&Delivery>| {
        one.is_some_and(|one| one.phase() != Phase::Pending)
    });
    tokio::time::timeout(PATIENCE, accepted).await.context("the carrier does not accept")??;
    Ok(())
}

/// The authorities of the example's namespace.
async fn published(setting: &Setting) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(setting.client.clone(), &setting.example);
    let data = maps.get("waybill-trust").await?.data.unwrap_or_default();
    data.get("ca.crt").cloned().context("no authorities are published")
}

/// A client that reaches the process behind this Service under the Service's name.
async fn service(
    setting: &Setting,
    name: &str,
    port: u16,
    trust: &str,
    role: &str,
) -> Result<(Client, String, Process)> {
    let host = format!("{name}.{}.svc", setting.example);
    let own = |pid: &u32| {
        let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
        let says = |line: String| environment.split('\0').any(|one| one == line);
        says(format!("WAYBILL_NAMESPACE={}", setting.example))
            && (role != "seller" || says(format!("WAYBILL_NAME={SELLER}")))
    };
    let pid =
        processes::find(&["waybill", role]).into_iter().find(own).with_context(|| format!("no {role} runs here"))?;
    let at = node::forward(&address(pid)?, port);
    let client = client(&host, at, trust)?;
    Ok((client, format!("https://{host}:{}", at.port()), Process(pid)))
}

/// Its pod's address: the one in its network that is no loopback's.
fn address(pid: u32) -> Result<String> {
    let routes = std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie"))?;
    let lines: Vec<&str> = routes.lines().map(str::trim).collect();
    let local = lines.windows(2).filter(|pair| pair[1] == "/32 host LOCAL");
    let mut addresses = local.filter_map(|pair| pair[0].strip_prefix("|-- ")).filter(|one| !one.starts_with("127."));
    addresses.next().map(str::to_owned).context("the pod has no address")
}

pub(crate) fn client(host: &str, at: SocketAddr, trust: &str) -> Result<Client> {
    let roots = Certificate::from_pem_bundle(trust.as_bytes())?;
    // Who logs in is sent on, with a cookie that has to be seen.
    let client = Client::builder().tls_certs_only(roots).redirect(Policy::none());
    Ok(client.resolve(host, at).no_proxy().http1_only().build()?)
}

/// A view token, as a recipient gets it: somebody who may read the Delivery grants, the grant is exchanged.
async fn carrier_api(setting: &Setting, trust: &str) -> Result<Target> {
    let (client, url, process) = service(setting, "waybill-carrier-api", 5001, trust, "carrier-api").await?;
    let user = granter(setting).await?;
    let grants = format!("{url}/api/shipment/reads-1/grants");
    let grant = said(client.post(grants).bearer_auth(user).send().await?).await?;
    let exchanged = client.post(format!("{url}/api/view-token")).json(&json!({"grant": grant["grant"]}));
    let view = said(exchanged.send().await?).await?;
    let token = view["token"].as_str().context("no view token")?.to_owned();
    Ok(Target { client, url: format!("{url}/api/shipment/reads-1"), token, process })
}

/// What was answered, unless it was a refusal.
pub(crate) async fn said(answer: reqwest::Response) -> Result<Value> {
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// A token of an account that may get Deliveries.
async fn granter(setting: &Setting) -> Result<String> {
    let accounts = accounts::viewer(setting, &["get", "list"]).await?;
    let wish = TokenRequest::default();
    let made = accounts.create_token_request(accounts::VIEWER, &PostParams::default(), &wish).await?;
    Ok(made.status.context("no token")?.token)
}

/// A token for the part that is open, signed with the Seller's own key: its distribution asks just so.
async fn seller_api(setting: &Setting, deliveries: &Api<Delivery>, trust: &str) -> Result<Target> {
    let (client, url, process) = service(setting, &format!("wb-seller-{SELLER}"), 5000, trust, "seller").await?;
    let open = await_condition(deliveries.clone(), "reads-1", |one: Option<&Delivery>| {
        one.and_then(|one| one.status.as_ref()).is_some_and(|status| status.stage == Stage::Country)
    });
    let delivery = tokio::time::timeout(PATIENCE, open).await.context("no part opened")??.context("it is there")?;
    let sellers: Api<Seller> = Api::namespaced(setting.client.clone(), &setting.example);
    let issuer = sellers.get(SELLER).await?.metadata.uid.context("a uid")?;
    let secrets: Api<Secret> = Api::namespaced(setting.client.clone(), &setting.example);
    let keys = secrets.get(&format!("wb-seller-{SELLER}-keys")).await?.data.unwrap_or_default();
    let seed: [u8; 32] =
        keys.get("ed25519.seed").and_then(|seed| seed.0.as_slice().try_into().ok()).context("no key")?;
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"iss": issuer, "aud": "seller-api", "sub": delivery.metadata.uid, "upc": "reads-1", "stage": "Country",
                        "nbf": now, "iat": now, "exp": now + 120, "jti": "bench"});
    let token = SigningKey::from_seed(key_id(public.as_bytes()), &seed).sign("wb-seller-api+jwt", &claims)?;
    Ok(Target { client, url: format!("{url}/api/order/reads-1/country_destination"), token, process })
}

/// A bare route in a process of its own: this program again.
struct Bare {
    target: Target,
    _process: tokio::process::Child,
    _files: tempfile::TempDir,
}

impl Bare {
    /// In the network of this process.
    async fn beside(other: Process) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec!["bare.test".into()])?.self_signed(&key)?;
        std::fs::write(files.path().join("tls.crt"), certificate.pem())?;
        std::fs::write(files.path().join("tls.key"), key.serialize_pem())?;
        // It becomes the program it starts: its number is the bare route's.
        let mut command = tokio::process::Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", other.0)).arg(std::env::current_exe()?);
        let mut process = command.arg("--bare").arg(files.path()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = process.stdout.take().context("its output is piped")?;
        let line = BufReader::new(out).lines().next_line().await?.context("the bare route ended")?;
        let at = node::forward(&address(other.0)?, line.parse::<SocketAddr>()?.port());
        let target = Target {
            client: client("bare.test", at, &certificate.pem())?,
            url: format!("https://bare.test:{}/", at.port()),
            token: "not looked at".into(),
            process: Process(process.id().context("it runs")?),
        };
        Ok(Self { target, _process: process, _files: files })
    }
}

/// What `--bare` runs: one route, TLS, nothing else.
pub(crate) async fn serve_bare(files: &Path) -> Result<()> {
    let file = |name: &str| -> PathBuf { files.join(name) };
    let tls = RustlsConfig::from_pem_file(file("tls.crt"), file("tls.key")).await?;
    let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let route = get(|| async { Json(json!({"UPC_ID": "reads-1", "country": "x", "province": "y", "city": "z"})) });
    axum_server::from_tcp_rustls(listener, tls)?.serve(Router::new().route("/", route).into_make_service()).await?;
    bail!("the bare route ended")
}

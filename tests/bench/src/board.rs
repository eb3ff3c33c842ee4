//! The board with a thousand people before it, while Deliveries change as fast as the API server takes it.
//!
//! Each viewer is what `assets/board.js` is: a stream of its own, and the page anew, a moment later, if it is told `resync`. Some only
//! open a stream and never read.

mod viewer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use waybill_crds::{Delivery, annotation};
use waybill_e2e::{node, process as processes};

use crate::accounts;
use crate::cluster::{CLIENTS, Setting};
use crate::process::Process;
use crate::raw;
use crate::reads;
use crate::report::Report;
use crate::sample::Samples;
use viewer::{Door, Viewer};

const ROWS: usize = 1_000;
const CHANGES: usize = 4_000;
const VIEWERS: usize = 1_000;
/// Of them, those who never read.
const DEAF: usize = 20;
const PAGES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);
/// The last change of all, as its text says it.
const LAST: &str = "nothing changes after this";

pub(crate) async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("the board, {VIEWERS} viewers, {ROWS} rows …");
    let deliveries = rows(setting).await?;
    let (door, board) = door(setting).await?;
    first_page(&door, report).await?;
    let alone = raw::patches_per_second(setting).await?;
    let before = board.usage()?;
    let viewers = open(&door).await?;
    let watched = board.usage()?;
    let rate = change(setting).await?;
    let (missed, lags) = last_change(setting, &viewers).await?;
    let after = board.usage()?;
    let mebibytes = |kib: f64| format!("{:.0}", kib / 1024.0);
    let [none, all, then] = [before.rss_kib, watched.rss_kib, after.rss_kib].map(mebibytes);
    report.line("board's RSS: nobody there, everybody, after all changes", format!("{none}, {all}, {then} MiB"));
    report.at_most(&format!("board's peak RSS, {VIEWERS} viewers"), after.peak_kib / 1024.0, 150.0, "MiB");
    report.line("status changes a second with them, and without", format!("{rate:.0}, {alone:.0}"));
    let views: usize = viewers.iter().map(Viewer::views).sum();
    report.line("whole views told to who was to hear of more than 64 rows", views.to_string());
    let resyncs: usize = viewers.iter().map(Viewer::resyncs).sum();
    report.line("pages fetched anew by who fell behind", resyncs.to_string());
    report.line("until a viewer has the last change, p50", format!("{:.0} ms", lags.median()));
    report.at_most("… p99", lags.quantile(0.99), 1000.0, "ms");
    report.lost("viewers without the last change", missed, VIEWERS - DEAF);
    drop(viewers);
    let all = DeleteParams::background().grace_period(0);
    deliveries.delete_collection(&all, &ListParams::default()).await?;
    Ok(())
}

/// Deliveries that nobody works at: what changes them is the bench alone.
async fn rows(setting: &Setting) -> Result<Api<Delivery>> {
    let api: Api<Delivery> = Api::namespaced(setting.client.clone(), &setting.example);
    stream::iter(0..ROWS)
        .map(|number| {
            let api = api.clone();
            async move {
                let name = name(number);
                let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery",
                    "metadata": {"name": name, "annotations": {annotation::PAUSED: "true"}},
                    "spec": {"upc": name, "seller": "board", "carrier": "board"}});
                api.create(&PostParams::default(), &serde_json::from_value(body)?).await.map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(api)
}

fn name(number: usize) -> String {
    format!("row-{number}")
}

/// Logs in as people do: a token buys a code, the code a cookie.
async fn door(setting: &Setting) -> Result<(Arc<Door>, Process)> {
    let services: Api<Service> = Api::namespaced(setting.client.clone(), "waybill-system");
    let service = services.get("waybill-board").await?.spec;
    let address = service.and_then(|spec| spec.cluster_ip).context("the board has no address")?;
    let at = node::forward(&address, 5002);
    let host = "waybill-board.waybill-system.svc";
    let secrets: Api<Secret> = Api::namespaced(setting.client.clone(), "waybill-system");
    let data = secrets.get("waybill-board-tls").await?.data.unwrap_or_default();
    let trust = String::from_utf8(data.get("ca.crt").context("the board has no certificate")?.0.clone())?;
    let url = format!("https://{host}:{}", at.port());
    let client = reads::client(host, at, &trust)?;
    let token = token(setting).await?;
    let offered = reads::said(client.post(format!("{url}/api/session")).bearer_auth(token).send().await?).await?;
    let door = Door::enter(client, url, offered["code"].as_str().context("no code")?).await?;
    let pid = processes::find(&["waybill", "board"]).into_iter().next().context("no board runs here")?;
    Ok((Arc::new(door), Process(pid)))
}

async fn token(setting: &Setting) -> Result<String> {
    let accounts = accounts::viewer(setting, &["get", "list"]).await?;
    let spec = TokenRequestSpec { audiences: vec!["waybill-board".into()], ..TokenRequestSpec::default() };
    let wish = TokenRequest { spec, ..TokenRequest::default() };
    let made = accounts.create_token_request(accounts::VIEWER, &PostParams::default(), &wish).await?;
    Ok(made.status.context("no token")?.token)
}

/// What a browser fetches before it shows anything, and how long the page itself takes.
async fn first_page(door: &Door, report: &mut Report) -> Result<()> {
    let bytes = door.weigh().await?;
    let mut took = Samples::default();
    for _ in 0..PAGES {
        let start = Instant::now();
        door.page().await?;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    report.line(&format!("the board's page of {ROWS} rows, to its last byte"), took.show("ms"));
    report.at_most("… with all it needs, transferred", bytes as f64 / 1024.0, 150.0, "KiB");
    Ok(())
}

async fn open(door: &Arc<Door>) -> Result<Vec<Viewer>> {
    let viewers = (0..VIEWERS).map(|number| Viewer::open(Arc::clone(door), number < DEAF, LAST));
    // Each is a handshake: not all at once, as people do not come all at once.
    stream::iter(viewers).buffer_unordered(CLIENTS).try_collect().await
}

/// Changes a second, nobody waiting for anybody.
async fn change(setting: &Setting) -> Result<f64> {
    let api = as_operator(setting)?;
    let start = Instant::now();
    stream::iter(0..CHANGES)
        .map(|number| patch(&api, number % ROWS, format!("change {number}")))
        .buffer_unordered(CLIENTS)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok(CHANGES as f64 / start.elapsed().as_secs_f64())
}

/// One change more, once everybody has caught up: how many did not have it in time, and the others' milliseconds.
async fn last_change(setting: &Setting, viewers: &[Viewer]) -> Result<(usize, Samples)> {
    try_join_all(viewers.iter().map(|viewer| viewer.at_rest(PATIENCE))).await?;
    let start = Instant::now();
    patch(&as_operator(setting)?, 0, LAST.to_owned()).await?;
    let seen = join_all(viewers.iter().filter(|viewer| viewer.reads()).map(|viewer| viewer.saw_last(PATIENCE))).await;
    let lags: Samples = seen.iter().flatten().map(|at| (*at - start).as_secs_f64() * 1000.0).collect();
    Ok((seen.iter().filter(|seen| seen.is_none()).count(), lags))
}

fn as_operator(setting: &Setting) -> Result<Api<Delivery>> {
    Ok(Api::namespaced(setting.as_account("waybill-system:waybill-operator")?, &setting.example))
}

async fn patch(api: &Api<Delivery>, row: usize, message: String) -> Result<()> {
    let params = PatchParams::apply("waybill-bench").force();
    let status: Value = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "status": {"conditions": [
        {"type": "Stalled", "status": "True", "reason": "Bench", "message": message, "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    api.patch_status(&name(row), &params, &Patch::Apply(status)).await?;
    Ok(())
}

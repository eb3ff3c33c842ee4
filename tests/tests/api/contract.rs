//! Every answer is one that is described: schemathesis (PyPI, pinned in `tests/contract`) asks the running services over TLS, with real
//! credentials, whatever the committed descriptions let it think of.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use waybill_e2e::in_namespace;

use crate::cast::{Api, Cast, DONE, OPEN, Shown};
use crate::matrix::photo;
use crate::people::token;

/// The program; `make test` sets it.
const PROGRAM: &str = "WAYBILL_SCHEMATHESIS";
/// Set to go through the same again.
const SEED: &str = "WAYBILL_CONTRACT_SEED";
/// How long each API is asked; all three at once.
const TIME: Duration = Duration::from_secs(40);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_is_described() {
    let Ok(program) = std::env::var(PROGRAM) else {
        assert!(std::env::var("WAYBILL_REQUIRE_PYTHON").is_err(), "{PROGRAM} names schemathesis; `make test` sets it");
        eprintln!("SKIPPED contract: {PROGRAM} names no schemathesis; scripts/schemathesis installs it");
        return;
    };
    in_namespace("contract", &[], |namespace| async move {
        let cast = Cast::assemble(namespace).await;
        let folder = tempfile::tempdir().unwrap();
        let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u32>);
        println!("seed {seed}: again with {SEED}={seed}");
        let room = room(&cast, folder.path()).await;
        std::fs::write(folder.path().join("room.json"), room.to_string()).unwrap();
        std::fs::write(folder.path().join("ca.crt"), &cast.trust).unwrap();
        let (carrier, seller, board) = tokio::join!(
            run(&program, seed, folder.path(), ("carrier", &cast.carrier_api)),
            run(&program, seed, folder.path(), ("seller", &cast.seller_api)),
            run(&program, seed, folder.path(), ("board", &cast.board)),
        );
        let wrong: Vec<String> = [carrier, seller, board].into_iter().filter_map(Result::err).collect();
        assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    })
    .await;
}

/// What the hooks of `tests/contract` know: where names are, who shows what, what paths may be about.
async fn room(cast: &Cast, folder: &Path) -> Value {
    let hosts =
        [&cast.carrier_api, &cast.seller_api, &cast.board].map(|api| (api.host.clone(), json!(api.address.ip())));
    let (grant, id) = cast.grant("recipient").await;
    let now = cast.now();
    let about = |upc: &'static str| (cast.uid(upc), upc);
    let agent = cast.van.token(Some(about(OPEN)), "carrier-api", now);
    let itself = cast.van.with(&cast.trust, Some(cast.van.token(None, "carrier-api", now)));
    let board = async |name: &str| token(&cast.namespace, name, "waybill-board").await;
    let viewer = Shown::cookie(cast.session(&board("viewer").await).await);
    let view = Shown::bearer(cast.view(DONE, "view", now));
    let mut shows = serde_json::Map::new();
    for (who, shown) in [
        ("agent", cast.van.with(&cast.trust, Some(agent))),
        ("agent itself", itself),
        ("viewer", view),
        ("recipient", Shown::bearer(recipient(cast, &grant).await)),
        ("distribution", Shown::bearer(cast.part(DONE, "Country", now))),
        ("person", viewer.clone()),
        ("session-reader", viewer),
        ("visitor", Shown::cookie(cast.visit(&grant).await)),
        ("cluster-user", Shown::bearer(board("viewer").await)),
    ] {
        shows.insert(who.into(), written(&shown, folder));
    }
    for user in ["reader", "lister", "declarer", "note-reader"] {
        shows.insert(user.into(), written(&Shown::bearer(cast.user(user).await), folder));
    }
    let parts = |upc: &'static str, photo: &str| json!({"upc": upc, "uid": cast.uid(upc), "hash": photo, "id": id, "namespace": cast.namespace.name, "name": DONE});
    let photo = photo(cast).await;
    json!({"hosts": serde_json::Map::from_iter(hosts), "shows": shows,
           "parts": {"agent": parts(OPEN, &photo), "all": parts(DONE, &photo)}})
}

async fn recipient(cast: &Cast, grant: &str) -> String {
    let (_, said) = cast.exchange(grant).await;
    said["token"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// As the hooks read it; a certificate lies in files.
fn written(shown: &Shown, folder: &Path) -> Value {
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let certificate = shown.pem.as_ref().map(|(chain, key)| [file("agent.crt", chain), file("agent.key", key)]);
    json!({"bearer": shown.bearer, "cookie": shown.cookie, "certificate": certificate})
}

/// What it found, if it found anything.
async fn run(program: &str, seed: u32, folder: &Path, (name, api): (&str, &Api)) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Ends it, whatever happens.
    let mut command = Command::new("timeout");
    command
        .args(["85", program, "run"])
        .arg(root.join(format!("../docs/openapi/{name}.json")))
        .args(["--url", &format!("https://{}:{}", api.host, api.address.port())])
        .arg("--tls-verify")
        .arg(folder.join("ca.crt"))
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "30"])
        .args(["--max-time", &TIME.as_secs().to_string(), "--seed", &seed.to_string()])
        .args(["--workers", "1", "--request-timeout", "10", "--continue-on-failure", "--no-color"])
        .args(["--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off"])
        .env("PYTHONPATH", root.join("contract"))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("WAYBILL_CONTRACT_ROOM", folder.join("room.json"))
        .env("WAYBILL_CONTRACT_SEED", seed.to_string())
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.map_err(|why| format!("{program}: {why}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let cases = told.lines().filter(|line| line.contains("generated") || line.contains("passed")).collect::<Vec<_>>();
    println!("{name}: {}", cases.join(" "));
    if output.status.success() { Ok(()) } else { Err(format!("=== {name}\n{told}")) }
}

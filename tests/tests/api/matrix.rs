//! Each route by each identity: whom `x-waybill-who` names gets in, and nobody else does.
//!
//! The routes come from the committed descriptions, so one that is added is asked about; who may be somebody is said here.

use std::collections::BTreeSet;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use waybill_e2e::in_namespace;

use crate::cast::{Api, Cast, DONE, OPEN, Shown};
use crate::people::{account, token};

/// At once, at one API.
const AT_ONCE: usize = 4;

/// One method of one path of a description.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) who: BTreeSet<String>,
}

/// As it is committed.
fn description(name: &str) -> String {
    let path = format!("{}/../docs/openapi/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

pub(crate) fn operations(description: &str) -> Vec<Operation> {
    let said: Value = serde_json::from_str(description).unwrap();
    let mut all = Vec::new();
    for (path, methods) in said["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let who = operation["x-waybill-who"].as_array().unwrap().iter();
            all.push(Operation {
                method: method.to_ascii_uppercase().parse().unwrap(),
                path: path.clone(),
                who: who.map(|name| name.as_str().unwrap().to_owned()).collect(),
            });
        }
    }
    all
}

/// Somebody: as whom it counts, and what it shows where.
struct Identity<'a> {
    name: &'static str,
    holds: &'static [&'static str],
    shows: Box<dyn Fn(&Operation) -> Shown + Send + Sync + 'a>,
}

fn always<'a>(name: &'static str, holds: &'static [&'static str], shown: Shown) -> Identity<'a> {
    Identity { name, holds, shows: Box::new(move |_| shown.clone()) }
}

/// What stands for the varying parts of a path, and what is sent.
struct Fill<'a> {
    cast: &'a Cast,
    photo: String,
    grant: String,
}

impl Fill<'_> {
    fn path(&self, operation: &Operation) -> String {
        let upc = if operation.who.contains("agent") { OPEN } else { DONE };
        let none = "0".repeat(64);
        let hash = if operation.path.contains("photos") { &self.photo } else { &none };
        let name = if operation.path.starts_with("/assets") { "board.css" } else { DONE };
        let parts = [
            ("{upc}", upc),
            ("{uid}", self.cast.uid(upc)),
            ("{hash}", hash),
            ("{id}", &self.grant),
            ("{challenge}", "K7QF-2M9X"),
            ("{namespace}", &self.cast.namespace.name),
            ("{name}", name),
        ];
        parts.iter().fold(operation.path.clone(), |path, (part, value)| path.replace(part, value))
    }

    fn body(operation: &Operation) -> Option<Value> {
        let last = operation.path.rsplit('/').next().unwrap_or_default();
        match (operation.method.as_str(), last) {
            ("GET" | "DELETE", _) => None,
            _ if operation.path.starts_with("/track") || operation.path.starts_with("/log") => {
                Some(json!("code=x&link=x&digits=123456"))
            }
            (_, "declarations") => Some(json!({"fact": "Lost"})),
            (_, "{upc}") => Some(json!({"events": ["AA=="]})),
            (_, "view-token") => Some(json!({"grant": "none"})),
            (_, "identity") => Some(json!({"request": "AA=="})),
            (_, "answer") => Some(json!({"challenge": "K7QF-2M9X", "digits": "123456"})),
            _ => Some(json!({})),
        }
    }
}

/// Whether an answer is one to somebody who may, whatever else is wrong with the request.
fn got_in(status: u16, slug: &str, location: &str) -> bool {
    match status {
        200..300 | 304 => true,
        303 => !matches!(location, "/login" | "/track"),
        401 => false,
        // Not now, or not this body: its sender was known.
        403 => ["part-not-open", "position-not-shared", "renewal-refused", "grant-invalid"].contains(&slug),
        404 => slug != "delivery-unknown",
        429 | 500.. => panic!("{status} {slug}"),
        _ => true,
    }
}

async fn asked(fill: &Fill<'_>, api: &Api, operation: &Operation, shown: &Shown) -> (bool, String) {
    let path = fill.path(operation);
    let body = Fill::body(operation);
    let answer = fill.cast.ask(api, (operation.method.clone(), &path), shown, body.as_ref()).await;
    let status = answer.status().as_u16();
    let location = answer.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
    let text = if status >= 400 { answer.text().await.unwrap() } else { String::new() };
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let slug = problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default();
    (got_in(status, slug, &location), format!("{status} {slug}{location}"))
}

/// Every identity at every route; answers with how many were asked.
async fn hold(fill: &Fill<'_>, api: &Api, description: &str, identities: &[Identity<'_>]) -> usize {
    let operations = operations(description);
    let known: BTreeSet<&str> = identities.iter().flat_map(|one| one.holds).copied().collect();
    let mut cells = Vec::new();
    for operation in &operations {
        // For anybody: the first of them, who shows nothing, stands for all.
        let anybody = operation.who.contains("anybody");
        let who = if anybody { &identities[..1] } else { identities };
        let somebody = operation.who.iter().any(|name| known.contains(name.as_str()));
        assert!(anybody || somebody, "{} {}: nobody here is {:?}", operation.method, operation.path, operation.who);
        cells.extend(who.iter().map(|one| (operation, one, anybody)));
    }
    let count = cells.len();
    let wrong: Vec<String> = futures::stream::iter(cells)
        .map(|(operation, one, anybody)| async move {
            let may = anybody || one.holds.iter().any(|name| operation.who.contains(*name));
            let (got_in, told) = asked(fill, api, operation, &(one.shows)(operation)).await;
            // For anybody, to be led on is an answer.
            let got_in = got_in || (anybody && told.starts_with("303"));
            let words = if may { "is kept out" } else { "gets in" };
            (got_in != may).then(|| format!("{} {}: {} {words}: {told}", operation.method, operation.path, one.name))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    count
}

/// A path that is described answers no other method.
async fn other_methods(fill: &Fill<'_>, api: &Api, description: &str) {
    let operations = operations(description);
    let paths: BTreeSet<&str> = operations.iter().map(|one| one.path.as_str()).collect();
    for path in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if operations.iter().any(|one| one.path == path && one.method == method) {
                continue;
            }
            let one = Operation { method: method.clone(), path: path.into(), who: BTreeSet::new() };
            let answer = fill.cast.ask(api, (method.clone(), &fill.path(&one)), &Shown::default(), None).await;
            assert_eq!(answer.status(), 405, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_description_names_gets_in_and_nobody_else() {
    in_namespace("matrix", &[], |namespace| async move {
        in_namespace("matrix-elsewhere", &[], |elsewhere| async move {
            let cast = Cast::assemble(namespace).await;
            account(&elsewhere, "viewer", &[("get", "deliveries"), ("list", "deliveries")]).await;
            let (grant, _) = cast.grant("viewer").await;
            let (recipient, _) = cast.grant("recipient").await;
            // One of the routes takes it back.
            let (_, id) = cast.grant("viewer").await;
            let fill = Fill { photo: photo(&cast).await, grant: id, cast: &cast };
            revoked_grants_open_nothing(&cast).await;

            let carrier = &description("carrier");
            let foreign = token(&elsewhere, "viewer", "waybill-carrier-api").await;
            let all = carrier_identities(&cast, (&grant, &recipient), foreign).await;
            let mut count = hold(&fill, &cast.carrier_api, carrier, &all).await;
            other_methods(&fill, &cast.carrier_api, carrier).await;

            let seller = &description("seller");
            let all = seller_identities(&cast, (&grant, &recipient)).await;
            count += hold(&fill, &cast.seller_api, seller, &all).await;
            other_methods(&fill, &cast.seller_api, seller).await;

            let board = &description("board");
            let foreign = token(&elsewhere, "viewer", "waybill-board").await;
            let all = board_identities(&cast, &recipient, foreign).await;
            count += hold(&fill, &cast.board, board, &all).await;
            other_methods(&fill, &cast.board, board).await;
            println!("{count} cells, none wrong");
        })
        .await;
    })
    .await;
}

/// The hash of the picture the delivered parcel has.
pub(crate) async fn photo(cast: &Cast) -> String {
    let reader = Shown::bearer(cast.user("reader").await);
    let path = format!("/api/shipment/{DONE}");
    let said: Value = cast.ask(&cast.carrier_api, (Method::GET, &path), &reader, None).await.json().await.unwrap();
    said["photos"][0]["hash"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
}

async fn revoked_grants_open_nothing(cast: &Cast) {
    let (grant, id) = cast.grant("viewer").await;
    assert_eq!(cast.exchange(&grant).await.0, 200);
    let reader = Shown::bearer(cast.user("reader").await);
    let path = format!("/api/shipment/{DONE}/grants/{id}");
    assert_eq!(cast.ask(&cast.carrier_api, (Method::DELETE, &path), &reader, None).await.status(), 204);
    let (status, said) = cast.exchange(&grant).await;
    assert_eq!((status, &said["type"]), (403, &json!("https://waybill.dev/problems/grant-invalid")));
}

async fn view(cast: &Cast, grant: &str) -> String {
    let (_, said) = cast.exchange(grant).await;
    said["token"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// About which delivery an agent's token has to be, by the route.
fn concerned<'a>(cast: &'a Cast, operation: &Operation) -> Option<(&'a str, &'static str)> {
    (operation.path != "/api/agent/deliveries").then(|| (cast.uid(OPEN), OPEN))
}

async fn carrier_identities<'a>(
    cast: &'a Cast,
    (grant, recipient): (&str, &str),
    foreign: String,
) -> Vec<Identity<'a>> {
    let (now, trust) = (cast.now(), &cast.trust);
    let agent = move |name, holds, audience: &'static str, at| Identity {
        name,
        holds,
        shows: Box::new(move |operation: &Operation| {
            cast.van.with(trust, Some(cast.van.token(concerned(cast, operation), audience, at)))
        }),
    };
    let bare = Identity {
        name: "an agent's token without its certificate",
        holds: &[],
        shows: Box::new(move |operation: &Operation| {
            Shown::bearer(cast.van.token(concerned(cast, operation), "carrier-api", now))
        }),
    };
    let other = Identity {
        name: "another carrier about a delivery that is not its own",
        holds: &[],
        // Of its own deliveries it may ask: it has none.
        shows: Box::new(move |operation: &Operation| match concerned(cast, operation) {
            Some(about) => cast.cart.with(trust, Some(cast.cart.token(Some(about), "carrier-api", now))),
            None => cast.cart.with(trust, Some(cast.cart.token(Some((cast.uid(OPEN), OPEN)), "carrier-api", now))),
        }),
    };
    let borrowed = Identity {
        name: "another carrier with the agent's token",
        holds: &[],
        shows: Box::new(move |operation: &Operation| {
            cast.cart.with(trust, Some(cast.van.token(concerned(cast, operation), "carrier-api", now)))
        }),
    };
    let mut all = vec![
        always("nobody", &[], Shown::default()),
        always("garbage", &[], Shown::bearer("garbage")),
        always("a JWT of nobody's", &[], Shown::bearer("e30.e30.AAAA")),
        agent("the agent", &["agent"], "carrier-api", now),
        agent("the agent, with a token that ended", &[], "carrier-api", now - 3600),
        agent("the agent, with a token of another audience", &[], "view", now),
        always("the agent's certificate alone", &[], cast.van.with(trust, None)),
        bare,
        other,
        borrowed,
        always("a viewer", &["viewer"], Shown::bearer(view(cast, grant).await)),
        always("the recipient", &["viewer"], Shown::bearer(view(cast, recipient).await)),
        always("a viewer of another delivery", &[], Shown::bearer(cast.view(OPEN, "view", now))),
        always("a viewer whose token ended", &[], Shown::bearer(cast.view(DONE, "view", now - 3600))),
        always("a viewer's token of another audience", &[], Shown::bearer(cast.view(DONE, "carrier-api", now))),
        always("a user of another namespace", &[], Shown::bearer(foreign)),
        always("a cookie", &[], Shown::cookie("wb_board=x; wb_track=x")),
    ];
    for (name, holds) in [
        ("reader", &["reader"][..]),
        ("lister", &["lister"]),
        ("declarer", &["declarer"]),
        ("note-reader", &["note-reader"]),
        ("stranger", &[]),
    ] {
        all.push(always(name, holds, Shown::bearer(cast.user(name).await)));
    }
    let elsewhere = token(&cast.namespace, "reader", "somewhere-else").await;
    all.push(always("a reader's token of another audience", &[], Shown::bearer(elsewhere)));
    // One more, whose right was taken: its own deliveries are no longer its.
    cast.revoke("cart").await;
    all.push(always("a revoked carrier", &[], cast.cart.with(trust, Some(cast.cart.token(None, "carrier-api", now)))));
    all
}

/// The part of an order a route is about, and one it is not about.
fn stage(operation: &Operation) -> &'static str {
    match operation.path.rsplit('/').next().unwrap_or_default() {
        "country_destination" => "Country",
        "door_destination" => "Door",
        _ => "PostalCode",
    }
}

fn another(operation: &Operation) -> &'static str {
    if stage(operation) == "Country" { "Door" } else { "Country" }
}

async fn seller_identities<'a>(cast: &'a Cast, (grant, recipient): (&str, &str)) -> Vec<Identity<'a>> {
    let now = cast.now();
    let part = move |name, holds, at| Identity {
        name,
        holds,
        shows: Box::new(move |operation: &Operation| Shown::bearer(cast.part(DONE, stage(operation), at))),
    };
    vec![
        always("nobody", &[], Shown::default()),
        always("garbage", &[], Shown::bearer("garbage")),
        part("distribution", &["distribution"], now),
        part("distribution, with a token that ended", &[], now - 3600),
        Identity {
            name: "distribution, with a token for another part",
            holds: &[],
            shows: Box::new(move |operation: &Operation| Shown::bearer(cast.part(DONE, another(operation), now))),
        },
        Identity {
            name: "distribution, with a token for another order",
            holds: &[],
            shows: Box::new(move |operation: &Operation| Shown::bearer(cast.part(OPEN, stage(operation), now))),
        },
        always("a viewer", &["viewer"], Shown::bearer(view(cast, grant).await)),
        always("the recipient", &["viewer", "recipient"], Shown::bearer(view(cast, recipient).await)),
        always("a viewer of another delivery", &[], Shown::bearer(cast.view(OPEN, "view", now))),
        always("a viewer whose token ended", &[], Shown::bearer(cast.view(DONE, "view", now - 3600))),
        always("a viewer's token of another audience", &[], Shown::bearer(cast.view(DONE, "seller-api", now))),
        always("a reader", &[], Shown::bearer(cast.user("reader").await)),
        always(
            "an agent",
            &[],
            cast.van.with(&cast.trust, Some(cast.van.token(Some((cast.uid(OPEN), OPEN)), "carrier-api", now))),
        ),
        always("a cookie", &[], Shown::cookie("wb_board=x; wb_track=x")),
    ]
}

async fn board_identities<'a>(cast: &'a Cast, recipient: &str, foreign: String) -> Vec<Identity<'a>> {
    let viewer = token(&cast.namespace, "viewer", "waybill-board").await;
    let stranger = token(&cast.namespace, "stranger", "waybill-board").await;
    let session = async |token: &str| Shown::cookie(cast.session(token).await);
    let borrowed = cast.session(&viewer).await.replace("wb_board", "wb_track");
    vec![
        always("nobody", &[], Shown::default()),
        always("garbage", &[], Shown::cookie("wb_board=garbage; wb_track=garbage")),
        always("somebody logged in who may see it", &["person", "reader"], session(&viewer).await),
        always("somebody logged in who may nothing", &["person"], session(&stranger).await),
        always("somebody logged in who may see another namespace", &["person"], session(&foreign).await),
        always("a visitor", &["visitor"], Shown::cookie(cast.visit(recipient).await)),
        always("a session as a visit", &[], Shown::cookie(borrowed)),
        always("a user of the cluster", &["cluster-user"], Shown::bearer(viewer)),
        always("a token of another audience", &[], Shown::bearer(cast.user("viewer").await)),
        always("a view token", &[], Shown::bearer(cast.view(DONE, "view", cast.now()))),
    ]
}

//! The end of a server: requests under way finish, nobody new is let in, and it ends by its deadline.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use waybill_chassis::server::Limits;
use waybill_chassis::tls::ClientAuth;

use crate::authority::Authority;
use crate::wire::{DEADLINE, routes, start, until};

/// A route that says it was entered and answers when told.
fn gated() -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, go) = (Arc::clone(&entered), Arc::clone(&leave));
    let handler = async move || {
        inside.add_permits(1);
        go.acquire().await.unwrap().forget();
        "finished"
    };
    (routes().route("/slow", get(handler)), entered, leave)
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_nobody_new_let_in() {
    let ca = Authority::new("ca");
    let (routes, entered, leave) = gated();
    let server = start(&ca, ClientAuth::Optional, routes, Limits::default()).await;
    let mut busy = server.connect(&ca.anonymous()).await.unwrap();
    let mut idle = server.connect(&ca.anonymous()).await.unwrap();
    assert_eq!(idle.get("/").await.unwrap().status, 200);
    busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    entered.acquire().await.unwrap().forget();
    assert!(server.probes.ready());

    server.shutdown.cancel();
    assert!(idle.closed().await);
    assert_eq!(server.probes.word("api").as_deref(), Some("draining"));
    until("new connections are refused", async || TcpStream::connect(server.addr).await.err()).await;
    leave.add_permits(1);
    assert_eq!(busy.answer().await.unwrap().body, "finished");
    tokio::time::timeout(DEADLINE, server.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_process() {
    let ca = Authority::new("ca");
    let (routes, entered, _leave) = gated();
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let server = start(&ca, ClientAuth::Optional, routes, limits).await;
    let mut stuck = server.connect(&ca.anonymous()).await.unwrap();
    stuck.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    entered.acquire().await.unwrap().forget();
    server.shutdown.cancel();
    tokio::time::timeout(DEADLINE, server.ended).await.unwrap().unwrap().unwrap();
    assert!(stuck.closed().await);
}

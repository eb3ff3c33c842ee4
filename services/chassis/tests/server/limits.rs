//! What one client may cost.

use std::time::Duration;

use axum::routing::post;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use waybill_chassis::server::Limits;
use waybill_chassis::tls::ClientAuth;

use crate::authority::{Authority, Wish};
use crate::wire::{DEADLINE, routes, start, until};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let ca = Authority::new("ca");
    let routes = routes().route("/echo", post(async |body: String| body));
    let server = start(&ca, ClientAuth::Optional, routes, Limits { body: 16, ..Limits::default() }).await;
    let mut client = server.connect(&ca.anonymous()).await.unwrap();
    let mut post = async |length: usize| {
        let body = "x".repeat(length);
        let request = format!("POST /echo HTTP/1.1\r\nhost: l\r\ncontent-length: {length}\r\n\r\n{body}");
        client.send(&request).await.unwrap();
        client.answer().await.unwrap()
    };
    assert_eq!(post(16).await.body.len(), 16);
    let refused = post(17).await;
    assert_eq!((refused.status, refused.slug().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let ca = Authority::new("ca");
    let server = start(&ca, ClientAuth::Optional, routes(), Limits { head: SHORT, ..Limits::default() }).await;
    let mut client = server.connect(&ca.anonymous()).await.unwrap();
    client.send("GET / HTTP/1.1\r\nhost: ").await.unwrap();
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off_before_and_after_the_handshake() {
    let ca = Authority::new("ca");
    let limits = Limits { handshake: SHORT, idle: SHORT, ..Limits::default() };
    let server = start(&ca, ClientAuth::Optional, routes(), limits).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let read = tokio::time::timeout(DEADLINE, silent.read(&mut [0])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(server.connect(&ca.anonymous()).await.unwrap().closed().await);
}

#[tokio::test]
async fn a_handler_that_hangs_is_answered_for() {
    let ca = Authority::new("ca");
    let routes = routes().route("/hang", post(async || std::future::pending::<()>().await));
    let server = start(&ca, ClientAuth::Optional, routes, Limits { request: SHORT, ..Limits::default() }).await;
    let mut client = server.connect(&ca.anonymous()).await.unwrap();
    client.send("POST /hang HTTP/1.1\r\nhost: l\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.slug().as_str()), (408, "timeout"));
}

#[tokio::test]
async fn connections_over_the_limit_wait_outside() {
    let ca = Authority::new("ca");
    let limits = Limits { connections: 1, anonymous: 1, ..Limits::default() };
    let server = start(&ca, ClientAuth::Optional, routes(), limits).await;
    for who in [ca.anonymous(), ca.client(&ca.issue(Wish::default()))] {
        let mut first = server.connect(&who).await.unwrap();
        assert_eq!(first.get("/").await.unwrap().status, 200);
        server.visit(&who).await.unwrap_err();
        assert_eq!(first.get("/").await.unwrap().status, 200);
        drop(first);
        until("the place is free again", async || server.visit(&who).await.ok()).await;
    }
}

#[tokio::test]
async fn whoever_shows_who_it_is_has_a_place_however_many_do_not() {
    let ca = Authority::new("ca");
    let limits = Limits { anonymous: 2, ..Limits::default() };
    let server = start(&ca, ClientAuth::Optional, routes(), limits).await;
    let mut crowd = Vec::new();
    for _ in 0..2 {
        let mut one = server.connect(&ca.anonymous()).await.unwrap();
        assert_eq!(one.get("/").await.unwrap().status, 200);
        crowd.push(one);
    }
    server.visit(&ca.anonymous()).await.unwrap_err();
    assert_eq!(server.visit(&ca.client(&ca.issue(Wish::default()))).await.unwrap().status, 200);
}

/// One that goes on and on is told when to come back; everybody else is served.
#[tokio::test]
async fn a_caller_beyond_its_quota_waits_and_no_other_does() {
    let ca = Authority::new("ca");
    let server = start(&ca, ClientAuth::Optional, routes(), Limits { requests: 3, ..Limits::default() }).await;
    let mut known = server.connect(&ca.client(&ca.issue(Wish::default()))).await.unwrap();
    for left in [2, 1, 0] {
        let answer = known.get("/").await.unwrap();
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (200, Some("\"default\";q=3;w=60")));
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"default\";r={left};t=")), "{answer:?}");
    }
    let refused = known.get("/").await.unwrap();
    assert_eq!((refused.status, refused.slug().as_str()), (429, "too-many-requests"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(server.visit(&ca.anonymous()).await.unwrap().status, 200, "somebody else");
}

//! D-77, DESIGN 7: an agent renews what is its own by a request signed with its statement's key.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;

use kit::{NOW, world};
use waybill_protocol::RenewalRequest;

#[test]
fn a_request_is_its_senders_and_of_one_form() {
    let world = world();
    let bytes = RenewalRequest::sign(&world.carrier.signer, NOW);
    let request = RenewalRequest::read(&bytes).unwrap();
    assert_eq!((&request.uid, request.namespace.as_str(), request.at), (world.carrier.uid(), "shop", NOW));
    RenewalRequest::verify(&bytes, &world.carrier.signer.statement().ed25519).unwrap();
    RenewalRequest::verify(&bytes, &world.seller.signer.statement().ed25519).unwrap_err();
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        let taken = RenewalRequest::read(&bent)
            .and_then(|_| RenewalRequest::verify(&bent, &world.carrier.signer.statement().ed25519));
        taken.expect_err("one bit is another request");
        RenewalRequest::read(&bytes[..at]).expect_err("a part is none");
    }
}

#[test]
fn what_was_signed_for_something_else_is_no_request() {
    let world = world();
    let event = world.plain(1).entries()[0].bytes().to_vec();
    RenewalRequest::read(&event).unwrap_err();
    RenewalRequest::read(&world.carrier.signer.statement_bytes().0).unwrap_err();
    RenewalRequest::read(&[0; 600]).unwrap_err();
}

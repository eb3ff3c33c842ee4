//! Keys that change on the way, labels that are lost with them.

use std::sync::Arc;

use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{Bytes, Phase, fact::reason::Media};
use waybill_transport::job::{Input, Own};

use crate::desk::{Desk, label};
use crate::kit::shop::Wishes;
use crate::kit::world::World;
use crate::plain::desk;

/// The agent with other keys of its own, and what it had before.
fn rotated(world: &World, desk: &mut Desk) -> Arc<Own> {
    let next = world.rotated(&world.carrier, 77);
    desk.shop.also.push(next.signer.statement().ed25519);
    Arc::new(Own {
        signer: next.signer.clone(),
        former: vec![world.carrier.signer.clone()],
        agreement: vec![next.agreement.clone(), world.carrier.agreement.clone()],
        trust: world.ca.trust(),
    })
}

#[test]
fn keys_that_rotate_on_the_way_are_told_once_and_a_restart_at_any_step_changes_nothing() {
    for rotate_after in 1..7 {
        for restart_after in 0..3 {
            let (_dir, world, mut desk) = desk(Wishes::plain());
            (0..rotate_after).for_each(|_| desk.round());
            let own = rotated(&world, &mut desk);
            desk.own = Arc::clone(&own);
            desk.take(Input::Keys(own));
            (0..restart_after).for_each(|_| desk.round());
            desk.die();
            desk.comes_online();
            desk.run();
            let events = desk.shop.events();
            assert_eq!(desk.shop.log().phase(), Phase::Delivered, "{rotate_after}/{restart_after}: {events:?}");
            let told = events.iter().filter(|event| **event == "KeyRotated").count();
            assert!(told <= 1, "{rotate_after}/{restart_after}: {events:?}");
            desk.shop.assert_clean();
        }
    }
}

#[test]
fn a_label_that_was_lost_with_the_journal_is_read_off_the_one_that_comes_again() {
    let picture = || {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let drawn = image::DynamicImage::from(waybill_transport::camera::code(&label()));
        drawn.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        Picture { media: Media::Png, bytes: Bytes(bytes.into_inner()) }
    };
    for lost_after in 2..6 {
        let (_dir, _, mut desk) = desk(Wishes { label: Some(picture()), ..Wishes::with_camera() });
        desk.looks = true;
        (0..lost_after).for_each(|_| desk.round());
        if desk.shop.log().phase() == Phase::OutForDelivery {
            break;
        }
        desk.loses_its_journal();
        desk.comes_online();
        desk.run();
        let events = desk.shop.events();
        assert_eq!(desk.shop.log().phase(), Phase::Delivered, "lost after {lost_after}: {events:?}");
        assert!(!events.contains(&"IncidentReported"), "lost after {lost_after}: {events:?}");
        desk.shop.assert_clean();
    }
}

//! Deliveries nobody disturbs.

use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{Bytes, Fact, Hash, LabelCode, LabelSecret, Phase, Upc, fact::reason::Media};

use crate::place::Place;
use crate::shop::{PLAIN, Wishes};
use crate::world::{DELIVERY, LABEL_KEY, uid};

/// A label as the seller sends it to an agent without a parcel in its hands.
pub(crate) fn label(delivery: &str) -> Picture {
    let delivery = uid(delivery);
    let code = LabelCode { secret: LabelSecret::new(&LABEL_KEY, &delivery), delivery }.to_string();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::from(waybill_transport::camera::code(&code));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    Picture { media: Media::Png, bytes: Bytes(bytes.into_inner()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_37_to_d_39_a_parcel_is_delivered_through_broker_and_carrier_api() {
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes::plain());
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    let books = place.office().books();
    books.shops[DELIVERY].assert_clean();
    assert_eq!(books.shops[DELIVERY].events(), PLAIN);
    assert!(!place.journals().windows(6).any(|window| window == b"MARKER"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_52_to_d_54_a_camera_carrier_reads_the_label_and_its_picture_can_be_fetched() {
    let mut place = Place::new().await;
    for (uid, bends) in
        [("dddddddd-0000-4000-8000-000000000011", false), ("dddddddd-0000-4000-8000-000000000012", true)]
    {
        place.office().books().bends_photos = bends;
        let upc = Upc::new(format!("UPC_{bends}")).unwrap();
        place.opens(uid, Wishes { upc, label: Some(label(uid)), ..Wishes::with_camera() });
        place.flags = vec!["--camera".into(), "true".into(), "--kind".into(), "drone".into()];
        place.start();
        place.until_delivered(uid).await;
        place.stop().await;
        let books = place.office().books();
        let shop = &books.shops[uid];
        shop.assert_clean();
        let proof = shop.log().state().proofs()[0].sha256;
        let picture = &books.photos[&proof.to_string()];
        assert_eq!(Hash::of(picture), proof);
        assert!(image::load_from_memory(picture).unwrap().width() >= 640);
        assert!(!picture.windows(4).any(|window| window == b"Exif"));
        assert!(shop.events().contains(&"Scanned") && !shop.events().contains(&"ScanRefused"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_01_many_parcels_are_carried_at_once() {
    let mut place = Place::new().await;
    let uids: Vec<String> = (0..12).map(|number| format!("dddddddd-0000-4000-8000-0000000001{number:02}")).collect();
    for uid in &uids {
        place.opens(uid, Wishes { upc: Upc::new(format!("UPC/{uid}?")).unwrap(), ..Wishes::plain() });
    }
    place.start();
    for uid in &uids {
        place.until_delivered(uid).await;
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_50_a_script_decides_how_attempts_end() {
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes { label: Some(label(DELIVERY)), ..Wishes::with_camera() });
    let script =
        r#"[{"outcome":"wrongLabel"},{"outcome":"attemptFailed","reason":{"cause":"nature","what":"weather"}}]"#;
    place.flags = ["--camera", "true", "--script", script].map(str::to_owned).to_vec();
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    let books = place.office().books();
    let log = books.shops[DELIVERY].log();
    let reasons: Vec<_> = log
        .entries()
        .iter()
        .filter_map(|entry| match entry.event().unwrap().event().fact {
            Fact::AttemptFailed { reason } => Some(reason.what.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((reasons, log.phase(), log.state().attempt()), (vec!["WrongParcel", "Weather"], Phase::Delivered, 3));
}

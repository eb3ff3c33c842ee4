//! Codes are read off real pictures, and what is sent shows pixels and nothing else.

use super::*;
use std::time::{Duration, SystemTime};

const TEXT: &str = "waybill:1:dddddddd-0000-4000-8000-000000000001:00112233445566778899aabbccddeeff";

fn scene() -> Scene {
    Scene {
        upc: Upc::new("UPC_1").unwrap(),
        delivery: Uid::new("dddddddd-0000-4000-8000-000000000001").unwrap(),
        kind: CarrierKind::Person,
        at: UnixMillis::from_secs(1_800_000_000),
    }
}

fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(3600)
}

/// A label as a camera sees it: in colour, turned, on a table, as a JPEG.
fn photographed(text: &str) -> Vec<u8> {
    let label = DynamicImage::from(code(text)).rotate90();
    let mut table = RgbImage::from_pixel(900, 700, image::Rgb([120, 100, 80]));
    image::imageops::overlay(&mut table, &label.to_rgb8(), 160, 90);
    jpeg(&table).unwrap()
}

#[test]
fn d_53_a_code_is_read_off_a_photo_of_a_label() {
    assert_eq!(codes(&photographed(TEXT)).unwrap(), [TEXT]);
}

#[test]
fn a_picture_without_a_code_has_no_text_and_no_picture_is_an_error() {
    let photo = Camera::default().photograph(&scene(), long_ago()).unwrap();
    assert!(codes(&photo.bytes).unwrap().is_empty());
    assert!(codes(b"not a picture").is_err());
}

#[test]
fn another_parcels_label_is_a_label_and_another_ones() {
    let delivery = scene().delivery;
    let read = codes(&another_label(&delivery).bytes.0).unwrap();
    let label: waybill_protocol::LabelCode = read[0].parse().unwrap();
    assert_ne!(label.delivery, delivery);
}

#[test]
fn a_drawn_proof_is_a_jpeg_without_exif_and_differs_with_what_it_shows() {
    let photo = Camera::default().photograph(&scene(), long_ago()).unwrap();
    assert_eq!(&photo.bytes[..3], [0xff, 0xd8, 0xff]);
    assert!(!photo.bytes.windows(4).any(|window| window == b"Exif"));
    let other =
        Camera::default().photograph(&Scene { upc: Upc::new("UPC_2").unwrap(), ..scene() }, long_ago()).unwrap();
    assert_ne!(photo, other);
    let later = Scene { at: UnixMillis::from_secs(1_800_000_060), ..scene() };
    assert_ne!(photo, Camera::default().photograph(&later, long_ago()).unwrap());
    assert!(photo.bytes.len() < 200 << 10);
}

#[test]
fn d_56_a_devices_newest_picture_is_taken_shrunk_and_stripped_of_what_it_says_besides() {
    let dir = tempfile::tempdir().unwrap();
    let old = with_exif(&jpeg(&RgbImage::from_pixel(40, 30, image::Rgb([1, 2, 3]))).unwrap());
    let new = with_exif(&jpeg(&RgbImage::from_pixel(3000, 2000, image::Rgb([200, 2, 3]))).unwrap());
    for (name, bytes, age) in [("a.jpg", &old, 60), ("b.JPG", &new, 0)] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    fs::write(dir.path().join("notes.txt"), "no picture").unwrap();
    let camera = Camera::new(Some(dir.path().to_owned()));
    let photo = camera.photograph(&scene(), long_ago()).unwrap();
    assert!(!photo.bytes.windows(4).any(|window| window == b"Exif"));
    let seen = decode(&photo.bytes).unwrap();
    assert_eq!((seen.width(), seen.height()), (1600, 1067));
    assert!(seen.to_rgb8().get_pixel(5, 5).0[0] > 150, "the newest one");
}

#[test]
fn d_56_neither_an_older_picture_nor_one_that_was_used_proves_anything() {
    let dir = tempfile::tempdir().unwrap();
    let camera = Camera::new(Some(dir.path().to_owned()));
    let put = |name: &str, shade: u8, age: u64| {
        let path = dir.path().join(name);
        fs::write(&path, jpeg(&RgbImage::from_pixel(40, 30, image::Rgb([shade, 2, 3]))).unwrap()).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    };
    let set_out = SystemTime::now() - Duration::from_secs(30);
    put("before.jpg", 10, 60);
    assert!(matches!(camera.photograph(&scene(), set_out), Err(Error::NoPicture)));
    put("at the door.jpg", 200, 0);
    assert!(camera.photograph(&scene(), set_out).is_ok());
    assert!(matches!(camera.clone().photograph(&scene(), set_out), Err(Error::NoPicture)));
    put("the same again.jpg", 200, 0);
    assert!(matches!(camera.photograph(&scene(), set_out), Err(Error::NoPicture)));
    fs::write(dir.path().join("half.jpg"), [0xff, 0xd8]).unwrap();
    assert!(matches!(camera.photograph(&scene(), set_out), Err(Error::Read(_))));
    put("next.jpg", 100, 1);
    assert!(camera.photograph(&scene(), set_out).is_ok());
}

#[test]
fn a_device_reads_the_codes_of_the_pictures_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let camera = Camera::new(Some(dir.path().to_owned()));
    assert!(camera.read_codes(None).unwrap().is_empty());
    assert!(matches!(camera.photograph(&scene(), long_ago()), Err(Error::NoPicture)));
    fs::write(dir.path().join("label.jpg"), photographed(TEXT)).unwrap();
    assert_eq!(camera.read_codes(None).unwrap(), [TEXT]);
}

#[test]
fn the_same_pixels_are_the_same_picture_whatever_stands_beside_them() {
    let photo = Camera::default().photograph(&scene(), long_ago()).unwrap();
    assert!(same_picture(&photo.bytes, &with_exif(&photo.bytes)));
    let other = Camera::default().photograph(&Scene { upc: Upc::new("X").unwrap(), ..scene() }, long_ago()).unwrap();
    assert!(!same_picture(&photo.bytes, &other.bytes));
    assert!(!same_picture(&photo.bytes, b"nothing"));
}

/// The same picture with a segment such as cameras write.
fn with_exif(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat()
}

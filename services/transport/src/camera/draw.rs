//! Pictures drawn: a code as it is printed on a label, and a doorstep with a parcel.

use std::io::Cursor;

use font8x8::legacy::BASIC_LEGACY;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use qrcode::{Color, QrCode};
use waybill_crds::carrier::CarrierKind;
use waybill_protocol::{Hash, Uid, UnixMillis};

use super::Scene;

/// Pixels a module, and modules of white around a code.
const SCALE: u32 = 6;
const QUIET: u32 = 4;
const SIZE: (u32, u32) = (640, 480);
const INK: Rgb<u8> = Rgb([28, 32, 40]);

/// A QR code with its quiet zone. An empty picture for a text no code holds.
pub fn code(text: &str) -> GrayImage {
    let Ok(code) = QrCode::new(text) else { return GrayImage::new(1, 1) };
    let modules = u32::try_from(code.width()).expect("a code has at most 177 modules");
    let (colors, side) = (code.to_colors(), (modules + 2 * QUIET) * SCALE);
    GrayImage::from_fn(side, side, |x, y| {
        let at = |pixel: u32| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < modules);
        let dark = at(x).zip(at(y)).is_some_and(|(x, y)| colors[(y * modules + x) as usize] == Color::Dark);
        Luma([if dark { 0 } else { 255 }])
    })
}

/// A grey picture as PNG.
pub(super) fn png(picture: &GrayImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let written = DynamicImage::from(picture.clone()).write_to(&mut bytes, ImageFormat::Png);
    written.map(|()| bytes.into_inner()).unwrap_or_default()
}

/// A doorstep with a parcel and three lines: what, where, when.
pub(super) fn scene(scene: &Scene) -> RgbImage {
    let (width, height) = SIZE;
    let mut picture = RgbImage::from_fn(width, height, |_, y| {
        let shade = u8::try_from(y * 60 / height).unwrap_or(0);
        if y < 330 {
            Rgb([205 - shade, 214 - shade, 222 - shade])
        } else {
            Rgb([150, 140 - shade / 2, 128 - shade / 2])
        }
    });
    fill(&mut picture, (250, 70), (150, 270), door(scene.kind));
    fill(&mut picture, (378, 205), (12, 12), Rgb([230, 200, 90]));
    fill(&mut picture, (270, 290), (120, 80), Rgb([176, 132, 84]));
    fill(&mut picture, (325, 290), (10, 80), Rgb([214, 190, 140]));
    fill(&mut picture, (0, 400), (width, 80), Rgb([245, 245, 240]));
    let (north, east) = place(&scene.delivery);
    let lines = [
        format!("UPC {}", scene.upc),
        format!("PLACE {north:.4} N {east:.4} E (simulated)"),
        format!("TIME {}", time(scene.at)),
    ];
    for (line, y) in lines.iter().zip([406_u32, 430, 454]) {
        write(&mut picture, line, (10, y));
    }
    picture
}

/// Each kind has its own colour.
const fn door(kind: CarrierKind) -> Rgb<u8> {
    match kind {
        CarrierKind::Truck => Rgb([60, 84, 120]),
        CarrierKind::Drone => Rgb([70, 112, 84]),
        CarrierKind::Person => Rgb([122, 66, 60]),
    }
}

/// Somewhere, and always there for one delivery: no address is ever drawn.
pub fn place(delivery: &Uid) -> (f64, f64) {
    let Hash(bytes) = Hash::of(delivery.as_str().as_bytes());
    let number = |at: usize| f64::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])) / f64::from(u16::MAX);
    (36.0 + number(0) * 24.0, -9.0 + number(2) * 39.0)
}

/// RFC 3339, in UTC.
fn time(at: UnixMillis) -> String {
    let second = i64::try_from(at.as_secs()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    second.map(|second| second.to_string()).unwrap_or_default()
}

fn fill(picture: &mut RgbImage, (left, top): (u32, u32), (width, height): (u32, u32), color: Rgb<u8>) {
    for y in top..top + height {
        for x in left..left + width {
            picture.put_pixel(x, y, color);
        }
    }
}

/// Letters of 8 by 8 pixels, each pixel two wide and two high; what does not fit is left out.
fn write(picture: &mut RgbImage, text: &str, (left, top): (u32, u32)) {
    for (letter, x) in text.bytes().zip((left..).step_by(14)) {
        let rows = BASIC_LEGACY.get(usize::from(letter)).copied().unwrap_or_default();
        for (row, y) in rows.into_iter().zip((top..).step_by(2)) {
            for bit in (0..8).filter(|bit| row >> bit & 1 == 1) {
                dot(picture, (x + bit * 14 / 8, y));
            }
        }
    }
}

fn dot(picture: &mut RgbImage, (left, top): (u32, u32)) {
    for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| (left + x, top + y)) {
        if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
            *pixel = INK;
        }
    }
}

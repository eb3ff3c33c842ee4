//! The picture of a parcel's label, for a managed agent: it has no parcel in its hands to scan.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use qrcode::{Color, EcLevel, QrCode};
use waybill_protocol::fact::reason::Media;
use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{Bytes, LabelCode, LabelSecret, Uid};

/// Pixels a module, and modules of white around the code: what a reader needs.
const SCALE: u32 = 6;
const QUIET: u32 = 4;

/// A PNG of a few kilobytes. `None` only if a code of that length did not fit, which none of ours does.
pub(super) fn picture(label_key: &[u8; 32], delivery: &Uid) -> Option<Picture> {
    let code = LabelCode { delivery: delivery.clone(), secret: LabelSecret::new(label_key, delivery) };
    let code = QrCode::with_error_correction_level(code.to_string(), EcLevel::M).ok()?;
    let modules = u32::try_from(code.width()).ok()?;
    let (colors, side) = (code.to_colors(), (modules + 2 * QUIET) * SCALE);
    let dark = |x: u32, y: u32| {
        let at = |pixel: u32| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < modules);
        let (x, y) = (at(x)?, at(y)?);
        Some(colors[usize::try_from(y * modules + x).ok()?] == Color::Dark)
    };
    let image = GrayImage::from_fn(side, side, |x, y| Luma([if dark(x, y) == Some(true) { 0 } else { 255 }]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).ok()?;
    Some(Picture { media: Media::Png, bytes: Bytes(bytes.into_inner()) })
}

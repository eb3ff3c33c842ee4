//! The camera: reads codes off pictures and takes the proof picture. Pictures come from the label the seller sent, from a
//! folder into which a device puts them, or are drawn, where there is nothing to look at.
//!
//! Trusted: no picture. Sizes are bounded before a pixel is decoded, and what is sent on is always encoded anew: nothing
//! a picture carries besides what it shows (place, device, owner) leaves the device.

mod draw;

use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use waybill_crds::carrier::CarrierKind;
use waybill_protocol::fact::reason::Media;
use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{Bytes, Hash, Uid, UnixMillis, Upc};

use crate::job::Photo;

pub use draw::{code, place};

/// The longest side of a picture that is decoded at all.
const MAX_SIDE: u32 = 12_000;
const MAX_MEMORY: u64 = 256 << 20;
/// The longest side of a picture that is sent.
const SENT_SIDE: u32 = 1600;
/// The longest side of a picture codes are looked for in.
const READ_SIDE: u32 = 2000;
const QUALITY: u8 = 82;
/// How many of a folder's pictures are looked at, the newest first.
const LOOKED_AT: usize = 8;
/// A memory card dates its files to two seconds.
const GRAIN: Duration = Duration::from_secs(2);

/// Why a picture is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to look into the camera's folder")]
    Folder(#[source] std::io::Error),
    #[error("there is no new picture in the camera's folder")]
    NoPicture,
    #[error("failed to read a picture")]
    Read(#[source] image::ImageError),
    #[error("failed to encode a picture")]
    Encode(#[source] image::ImageError),
}

/// What a proof picture shows, where it has to be drawn.
#[derive(Debug, Clone)]
pub struct Scene {
    pub upc: Upc,
    pub delivery: Uid,
    pub kind: CarrierKind,
    pub at: UnixMillis,
}

/// Where pictures come from.
#[derive(Debug, Clone, Default)]
pub struct Camera {
    /// A folder a device puts pictures into; without one they are drawn.
    pub folder: Option<PathBuf>,
    /// Pictures that prove something already: no picture proves two things.
    used: Arc<Mutex<HashSet<Hash>>>,
}

impl Camera {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, used: Arc::default() }
    }

    /// The texts of all codes: of the label at hand if one was sent, else of what was photographed last.
    pub fn read_codes(&self, label: Option<&Picture>) -> Result<Vec<String>, Error> {
        match (label, &self.folder) {
            (_, Some(folder)) => {
                let newest = pictures(folder)?;
                let read = newest.iter().take(LOOKED_AT).filter_map(|(_, path)| codes(&fs::read(path).ok()?).ok());
                Ok(read.flatten().collect())
            }
            (Some(label), None) => codes(&label.bytes.0),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// A JPEG of what is there: where a device takes pictures, of the newest one taken since then that nobody used yet.
    pub fn photograph(&self, scene: &Scene, since: SystemTime) -> Result<Photo, Error> {
        let picture = match &self.folder {
            Some(folder) => shrunk(self.unused(folder, since)?, SENT_SIDE).into_rgb8(),
            None => draw::scene(scene),
        };
        Ok(Photo { media: Media::Jpeg, bytes: jpeg(&picture)? })
    }

    fn unused(&self, folder: &Path, since: SystemTime) -> Result<DynamicImage, Error> {
        let since = since.checked_sub(GRAIN).unwrap_or(since);
        let new = pictures(folder)?.into_iter().filter(|(taken, _)| *taken >= since);
        let mut last = Error::NoPicture;
        for (_, path) in new.take(LOOKED_AT) {
            let bytes = fs::read(path).map_err(Error::Folder)?;
            match decode(&bytes) {
                Ok(picture) if self.claim(&bytes) => return Ok(picture),
                Ok(_) => {}
                // Perhaps it is still being written.
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn claim(&self, picture: &[u8]) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(Hash::of(picture))
    }
}

/// A picture as it is sent on, of one that somebody took.
pub fn proof(picture: &[u8]) -> Result<Photo, Error> {
    let picture = shrunk(decode(picture)?, SENT_SIDE).into_rgb8();
    Ok(Photo { media: Media::Jpeg, bytes: jpeg(&picture)? })
}

/// The label of another parcel, drawn: what a courier with the wrong parcel in hand looks at.
pub fn another_label(delivery: &Uid) -> Picture {
    use sha2::{Digest, Sha256};
    let other = hex::encode(Sha256::digest(delivery.as_str()));
    let text = format!("waybill:1:{}:{}", &other[..36], &other[32..]);
    Picture { media: Media::Png, bytes: Bytes(code_png(&text)) }
}

/// A code as a PNG, for a screen.
pub fn code_png(text: &str) -> Vec<u8> {
    draw::png(&code(text))
}

/// The texts of all codes in a picture.
pub fn codes(picture: &[u8]) -> Result<Vec<String>, Error> {
    let grey = shrunk(decode(picture)?, READ_SIDE).into_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let pixel = |x: usize, y: usize| grey.as_raw()[y * width + x];
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    let found = prepared.detect_grids();
    Ok(found.iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect())
}

/// Whether two pictures show the same, pixel by pixel.
pub fn same_picture(one: &[u8], other: &[u8]) -> bool {
    matches!((decode(one), decode(other)), (Ok(one), Ok(other)) if one.to_rgb8() == other.to_rgb8())
}

/// Decoded within limits, the right way up.
fn decode(bytes: &[u8]) -> Result<DynamicImage, Error> {
    let failed = |error| Error::Read(error);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::Folder)?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn shrunk(picture: DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side { picture } else { picture.thumbnail(side, side) }
}

/// Pixels and nothing else: no EXIF is ever written.
fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture).map_err(Error::Encode)?;
    Ok(bytes)
}

/// The folder's pictures, the newest first.
fn pictures(folder: &Path) -> Result<Vec<(SystemTime, PathBuf)>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::Folder)?;
    let picture = |path: &Path| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ["jpg", "jpeg", "png"].iter().any(|known| end.eq_ignore_ascii_case(known))
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| picture(&entry.path()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    Ok(found)
}

#[cfg(test)]
mod tests;

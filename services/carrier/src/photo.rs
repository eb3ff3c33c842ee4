//! Photos as evidence: what is kept is the picture and nothing about whoever took it. Pure.
//!
//! Two small walkers read the segments of a JPEG and the chunks of a PNG and copy only what a decoder needs to show the
//! picture; place, time, device, thumbnails, comments and whatever follows the end are left behind. Nothing is decoded,
//! so no picture can cost more than its size. The hash of what is left is the evidence hash; cleaning what is clean
//! changes no byte.

mod jpeg;
mod png;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

/// The largest upload.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// The longest side.
const MAX_SIDE: u32 = 10_000;
/// The largest picture: what a viewer can decode without harm.
const MAX_PIXELS: u64 = 50_000_000;
/// A small picture may be as plain as it likes; a larger one has to be worth what it takes to show it: no more than so many
/// times its own size. A photo is a tenth of that.
const FREE: u64 = 32 << 20;
const MAX_RATIO: u64 = 200;

/// The form of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Jpeg,
    Png,
}

impl Media {
    pub(crate) const ALL: [Self; 2] = [Self::Jpeg, Self::Png];

    /// From a `Content-Type`, whose parameters say nothing about a picture.
    pub(crate) fn from_content_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|media| essence.eq_ignore_ascii_case(media.content_type()))
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// A picture fit to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Photo {
    pub(crate) media: Media,
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of `bytes`: the evidence hash.
    pub(crate) hash: [u8; 32],
}

/// Why a picture is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the body is no {}", .0.content_type())]
    OtherMedia(Media),
    #[error("the picture is damaged: {0}")]
    Damaged(&'static str),
    #[error("the picture uses {0}, which is not accepted")]
    Unsupported(&'static str),
    #[error(
        "the picture has {width} by {height} pixels; a side may have {MAX_SIDE}, the whole {} million",
        MAX_PIXELS / 1_000_000
    )]
    Dimensions { width: u32, height: u32 },
    #[error("the picture has {size} bytes and takes {shown} to show, more than {MAX_RATIO} times as much")]
    Explodes { size: usize, shown: u64 },
    #[error("the picture has more than {most} scans")]
    Scans { most: usize },
}

/// Takes a picture for what it is declared to be, without what it says besides.
pub(crate) fn clean(media: Media, bytes: &[u8]) -> Result<Photo, Refusal> {
    let bytes = match media {
        Media::Jpeg => jpeg::clean(bytes)?,
        Media::Png => png::clean(bytes)?,
    };
    let hash = Sha256::digest(&bytes).into();
    Ok(Photo { media, bytes, hash })
}

/// What it takes to show a picture, against what it is. `wide`: more than eight bits a colour.
fn check_worth((width, height): (u32, u32), wide: bool, size: usize) -> Result<(), Refusal> {
    let shown = u64::from(width) * u64::from(height) * if wide { 8 } else { 4 };
    let worth = u64::try_from(size).unwrap_or(u64::MAX).saturating_mul(MAX_RATIO);
    if shown <= FREE.max(worth) { Ok(()) } else { Err(Refusal::Explodes { size, shown }) }
}

fn check_dimensions(width: u32, height: u32) -> Result<(), Refusal> {
    let sides = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
    let fits = sides && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(Refusal::Dimensions { width, height }) }
}

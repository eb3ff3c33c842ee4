//! Small pictures for rows: drawn once, kept while there is room. What is drawn has been compared with its hash before.

use std::collections::{HashMap, VecDeque};
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use image::{ImageReader, Limits};
use tokio::sync::Semaphore;

/// Twice what a row shows, for fine screens.
const WIDTH: u32 = 128;
const HEIGHT: u32 = 96;
/// Bytes kept.
const ROOM: usize = 8 << 20;
/// A picture of sixteen million points takes this much while it is read.
const MOST: u64 = 64 << 20;
const LONGEST: u32 = 12_000;

pub(crate) struct Thumbs {
    kept: Mutex<Kept>,
    /// One at a time: reading a picture takes memory.
    drawing: Semaphore,
}

#[derive(Default)]
struct Kept {
    drawn: HashMap<String, Bytes>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Default for Thumbs {
    fn default() -> Self {
        Self { kept: Mutex::default(), drawing: Semaphore::new(1) }
    }
}

impl Thumbs {
    pub(crate) fn find(&self, key: &str) -> Option<Bytes> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).drawn.get(key).cloned()
    }

    /// `None` for what is no picture, or too large a one.
    pub(crate) async fn draw(&self, key: String, picture: Bytes) -> Option<Bytes> {
        let _turn = self.drawing.acquire().await.ok()?;
        let drawn = tokio::task::spawn_blocking(move || draw(&picture)).await.ok()??;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(key, drawn.clone());
        Some(drawn)
    }
}

impl Kept {
    fn put(&mut self, key: String, drawn: Bytes) {
        self.bytes += drawn.len();
        if let Some(before) = self.drawn.insert(key.clone(), drawn) {
            self.bytes -= before.len();
        } else {
            self.order.push_back(key);
        }
        while self.bytes > ROOM
            && let Some(first) = self.order.pop_front()
        {
            self.bytes -= self.drawn.remove(&first).map_or(0, |gone| gone.len());
        }
    }
}

fn draw(picture: &[u8]) -> Option<Bytes> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST);
    limits.max_image_height = Some(LONGEST);
    limits.max_alloc = Some(MOST);
    reader.limits(limits);
    let small = reader.decode().ok()?.thumbnail(WIDTH, HEIGHT).to_rgb8();
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, image::ImageFormat::Jpeg).ok()?;
    Some(bytes.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_becomes_small_once_and_junk_becomes_nothing() {
        let mut large = Cursor::new(Vec::new());
        image::RgbImage::new(1600, 1200).write_to(&mut large, image::ImageFormat::Png).unwrap();
        let thumbs = Thumbs::default();
        let drawn = thumbs.draw("a".into(), large.into_inner().into()).await.unwrap();
        let read = image::load_from_memory(&drawn).unwrap();
        assert_eq!((read.width(), read.height()), (WIDTH, HEIGHT));
        assert_eq!(thumbs.find("a"), Some(drawn));
        assert!(thumbs.draw("b".into(), Bytes::from_static(b"no picture")).await.is_none());
        assert!(thumbs.find("b").is_none());
    }

    #[test]
    fn what_was_drawn_first_makes_room() {
        let mut kept = Kept::default();
        for number in 0..10 {
            kept.put(number.to_string(), Bytes::from(vec![0; ROOM / 4]));
        }
        assert!(kept.bytes <= ROOM && !kept.drawn.contains_key("0") && kept.drawn.contains_key("9"));
    }
}

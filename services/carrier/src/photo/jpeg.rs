//! The segments of a JPEG (ITU-T T.81, annex B): tables, one frame, its scans. Everything else is left behind, but for
//! two segments without which colours are wrong: the plain JFIF header and Adobe's note on the colour transform.

use super::{Media, Refusal, check_dimensions, check_worth};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DHT: u8 = 0xc4;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP14: u8 = 0xee;
const APP15: u8 = 0xef;
const COM: u8 = 0xfe;
/// Each is gone through for the whole picture: a photo has one, one that shows bit by bit about ten.
const MAX_SCANS: usize = 32;

pub(super) fn clean(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    if bytes.get(..3) != Some(&[0xff, SOI, 0xff]) {
        return Err(Refusal::OtherMedia(Media::Jpeg));
    }
    let mut walk = Walk { bytes, at: 2, clean: Vec::with_capacity(bytes.len()), sides: None, scans: 0 };
    walk.clean.extend([0xff, SOI]);
    while walk.step()? {}
    check_worth(walk.sides.unwrap_or_default(), false, walk.clean.len())?;
    Ok(walk.clean)
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    clean: Vec<u8>,
    sides: Option<(u32, u32)>,
    scans: usize,
}

impl<'b> Walk<'b> {
    /// One segment; false after the last.
    fn step(&mut self) -> Result<bool, Refusal> {
        let marker = self.marker()?;
        match marker {
            EOI if self.scans > 0 => {
                self.clean.extend([0xff, EOI]);
                return Ok(false);
            }
            EOI => return Err(Refusal::Damaged("it ends before its picture")),
            0xc0..=0xc2 => self.frame(marker)?,
            SOS => self.scan()?,
            DQT | DHT | DRI => {
                let segment = self.segment()?;
                self.keep(marker, segment);
            }
            APP0..=APP15 | COM => {
                let segment = self.segment()?;
                if is_colour_note(marker, segment) {
                    self.keep(marker, segment);
                }
            }
            0xc3..=0xcf => return Err(Refusal::Unsupported("an uncommon kind of compression")),
            _ => return Err(Refusal::Damaged("an unknown marker")),
        }
        Ok(true)
    }

    fn marker(&mut self) -> Result<u8, Refusal> {
        if self.next()? != 0xff {
            return Err(Refusal::Damaged("no marker where one must be"));
        }
        loop {
            match self.next()? {
                0xff => {}
                marker => return Ok(marker),
            }
        }
    }

    fn next(&mut self) -> Result<u8, Refusal> {
        let byte = self.bytes.get(self.at).copied().ok_or(Refusal::Damaged("it is cut off"))?;
        self.at += 1;
        Ok(byte)
    }

    /// The content of a segment, without its length.
    fn segment(&mut self) -> Result<&'b [u8], Refusal> {
        let length = usize::from(u16::from_be_bytes([self.next()?, self.next()?]));
        let content = length.checked_sub(2).and_then(|length| self.bytes.get(self.at..self.at + length));
        let content = content.ok_or(Refusal::Damaged("a segment is longer than the file"))?;
        self.at += content.len();
        Ok(content)
    }

    fn keep(&mut self, marker: u8, content: &[u8]) {
        let length = u16::try_from(content.len() + 2).expect("its length came in two bytes");
        self.clean.extend([0xff, marker]);
        self.clean.extend(length.to_be_bytes());
        self.clean.extend(content);
    }

    fn frame(&mut self, marker: u8) -> Result<(), Refusal> {
        let segment = self.segment()?;
        let &[_, h1, h0, w1, w0, _, ..] = segment else { return Err(Refusal::Damaged("a frame without dimensions")) };
        if self.sides.is_some() {
            return Err(Refusal::Unsupported("several frames"));
        }
        // A height of 0, to be told after the picture, is refused here with the others.
        let (width, height) = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
        check_dimensions(width, height)?;
        self.sides = Some((width, height));
        self.keep(marker, segment);
        Ok(())
    }

    /// A scan's header and its data, up to the next marker that is none of the data's own.
    fn scan(&mut self) -> Result<(), Refusal> {
        let header = self.segment()?;
        if self.sides.is_none() {
            return Err(Refusal::Damaged("a scan without a frame"));
        }
        self.keep(SOS, header);
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(Refusal::Scans { most: MAX_SCANS });
        }
        let data = &self.bytes[self.at..];
        let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7);
        let end = data.windows(2).position(ends).ok_or(Refusal::Damaged("it is cut off"))?;
        self.clean.extend(&data[..end]);
        self.at += end;
        Ok(())
    }
}

/// JFIF without a thumbnail, or Adobe's transform: fixed lengths, no room for anything else.
fn is_colour_note(marker: u8, content: &[u8]) -> bool {
    match marker {
        APP0 => content.len() == 14 && content.starts_with(b"JFIF\0") && content.ends_with(&[0, 0]),
        APP14 => content.len() == 12 && content.starts_with(b"Adobe"),
        _ => false,
    }
}

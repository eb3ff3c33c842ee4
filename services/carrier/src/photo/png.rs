//! The chunks of a PNG (W3C PNG, section 5): the critical ones, and those that say what its colours mean.

use super::{Media, Refusal, check_dimensions, check_worth};

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
/// Numbers about colours; none of them can hold a text.
const KEPT: [&[u8; 4]; 8] = [b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs"];

pub(super) fn clean(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut rest = bytes.strip_prefix(&SIGNATURE).ok_or(Refusal::OtherMedia(Media::Png))?;
    let mut clean = Vec::with_capacity(bytes.len());
    clean.extend(SIGNATURE);
    let (mut first, mut pictured, mut header) = (true, 0, Header::default());
    loop {
        let (chunk, after) = Chunk::read(rest)?;
        rest = after;
        if first != (chunk.kind == b"IHDR") {
            return Err(Refusal::Damaged("its header is not its first chunk"));
        }
        match chunk.kind {
            b"IHDR" => header = Header::read(chunk.content)?,
            b"IDAT" => pictured += chunk.whole.len(),
            b"IEND" if pictured == 0 => return Err(Refusal::Damaged("it ends before its picture")),
            // What follows the end is not copied.
            b"IEND" => {
                clean.extend(chunk.whole);
                check_worth(header.sides, header.wide, pictured)?;
                return Ok(clean);
            }
            kind if KEPT.contains(&kind) => {}
            kind if kind[0].is_ascii_uppercase() => return Err(Refusal::Unsupported("an unknown critical chunk")),
            _ => continue,
        }
        first = false;
        clean.extend(chunk.whole);
    }
}

struct Chunk<'b> {
    kind: &'b [u8; 4],
    content: &'b [u8],
    whole: &'b [u8],
}

impl<'b> Chunk<'b> {
    fn read(bytes: &'b [u8]) -> Result<(Self, &'b [u8]), Refusal> {
        let cut_off = || Refusal::Damaged("it is cut off");
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (kind, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let (content, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        let (sum, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let whole = &bytes[..12 + length];
        if u32::from_be_bytes(*sum) != crc32(&whole[4..8 + length]) {
            return Err(Refusal::Damaged("a checksum is wrong"));
        }
        Ok((Self { kind, content, whole }, rest))
    }
}

#[derive(Default)]
struct Header {
    sides: (u32, u32),
    /// Sixteen bits a colour.
    wide: bool,
}

impl Header {
    fn read(content: &[u8]) -> Result<Self, Refusal> {
        let header: &[u8; 13] = content.try_into().map_err(|_| Refusal::Damaged("a header of another length"))?;
        let side = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        check_dimensions(side(0), side(4))?;
        Ok(Self { sides: (side(0), side(4)), wide: header[8] > 8 })
    }
}

/// CRC-32 as PNG asks for it, four bits at a time.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let step = |crc: u32| (crc >> 4) ^ TABLE[(crc & 15) as usize];
    !bytes.iter().fold(!0, |crc, byte| step(step(crc ^ u32::from(*byte))))
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

use super::png::crc32;
use super::*;

const MARKER: &[u8] = b"GPS 41.9028N 12.4964E MARKER";

#[test]
fn d54_a_jpeg_keeps_its_picture_and_loses_all_it_says_besides() {
    let exif = [b"Exif\0\0".as_slice(), MARKER].concat();
    let thumbnail = [b"JFIF\0\x01\x01\0\0\x48\0\x48\x01\x01".as_slice(), MARKER].concat();
    let told = jpeg(&[(0xe0, &thumbnail), (0xe1, &exif), (0xe2, MARKER), (0xed, MARKER), (0xfe, MARKER)]);
    let told = [told, MARKER.to_vec()].concat();
    let photo = clean(Media::Jpeg, &told).unwrap();
    assert_eq!(photo.bytes, jpeg(&[]), "only tables, frame and scan are left");
    assert_eq!(photo.hash, <[u8; 32]>::from(Sha256::digest(jpeg(&[]))), "the hash is of what is kept");
}

#[test]
fn d54_a_png_keeps_its_picture_and_loses_all_it_says_besides() {
    let told = [
        png_start(8, 8),
        chunk(b"eXIf", MARKER),
        chunk(b"tEXt", MARKER),
        chunk(b"tIME", &[7, 234, 1, 1, 0, 0, 0]),
        chunk(b"iTXt", MARKER),
        chunk(b"iCCP", MARKER),
        chunk(b"zzZz", MARKER),
        chunk(b"gAMA", &[0, 0, 0xb1, 0x8f]),
        chunk(b"IDAT", b"data"),
        chunk(b"IEND", b""),
        MARKER.to_vec(),
    ];
    let kept = [png_start(8, 8), chunk(b"gAMA", &[0, 0, 0xb1, 0x8f]), chunk(b"IDAT", b"data"), chunk(b"IEND", b"")];
    assert_eq!(clean(Media::Png, &told.concat()).unwrap().bytes, kept.concat());
}

/// What a transport hashes before it uploads is the evidence hash, if it sends nothing to strip.
#[test]
fn a_clean_picture_changes_by_no_byte() {
    let colours = jpeg(&[(0xe0, b"JFIF\0\x01\x01\0\0\x48\0\x48\0\0"), (0xee, b"Adobe\0\x64\0\0\0\0\x01")]);
    for (media, bytes) in [(Media::Jpeg, jpeg(&[])), (Media::Jpeg, colours), (Media::Png, png(8, 8))] {
        assert_eq!(clean(media, &bytes).unwrap().bytes, bytes);
    }
}

#[test]
fn scan_data_may_hold_stuffing_and_restarts_and_several_scans_follow() {
    let scan = |data: &[u8]| [segment(0xda, &[1, 1, 0, 0, 0x3f, 0]), data.to_vec()].concat();
    let data = [0x12, 0xff, 0x00, 0xff, 0xd0, 0x34, 0xff, 0xd7, 0x56];
    let bytes = [head(0xc2, 8, 8), scan(&data), segment(0xfe, MARKER), scan(&data), vec![0xff, 0xff, 0xd9]];
    let kept = [head(0xc2, 8, 8), scan(&data), scan(&data), vec![0xff, 0xd9]];
    let photo = clean(Media::Jpeg, &bytes.concat()).unwrap();
    // Fill bytes before a marker belong to nobody.
    assert_eq!(photo.bytes, kept.concat());
    assert_eq!(clean(Media::Jpeg, &photo.bytes).unwrap(), photo);
}

#[test]
fn what_is_no_picture_of_its_kind_is_refused() {
    for bytes in [&b""[..], b"GIF89a", b"\xff\xd8", b"<svg xmlns='http://www.w3.org/2000/svg'/>", &png(8, 8)] {
        assert_eq!(clean(Media::Jpeg, bytes), Err(Refusal::OtherMedia(Media::Jpeg)));
    }
    assert_eq!(clean(Media::Png, &jpeg(&[])), Err(Refusal::OtherMedia(Media::Png)));
}

#[test]
fn dimensions_are_bounded() {
    for (width, height, fits) in
        [(1, 1, true), (10_000, 5_000, true), (10_000, 5_001, false), (10_001, 1, false), (0, 8, false), (8, 0, false)]
    {
        let refused = Err(Refusal::Dimensions { width, height });
        let photo = clean(Media::Png, &png_of(width, height, 8, 1_100_000)).map(|_| ());
        assert_eq!(photo, if fits { Ok(()) } else { refused.clone() }, "PNG {width}x{height}");
        let (w, h) = (u16::try_from(width).unwrap(), u16::try_from(height).unwrap());
        let photo = clean(Media::Jpeg, &jpeg_with(head(0xc0, w, h), 1_100_000)).map(|_| ());
        assert_eq!(photo, if fits { Ok(()) } else { refused }, "JPEG {width}x{height}");
    }
    assert!(matches!(clean(Media::Png, &png(u32::MAX, u32::MAX)), Err(Refusal::Dimensions { .. })));
}

/// A few bytes that say they are a large picture would take everybody who looks at it hundreds of megabytes.
#[test]
fn a_picture_that_explodes_is_refused() {
    let explodes = |media, bytes: &[u8]| matches!(clean(media, bytes), Err(Refusal::Explodes { .. }));
    assert!(explodes(Media::Png, &png(10_000, 5_000)));
    assert!(explodes(Media::Png, &png_of(10_000, 5_000, 8, 900_000)) && !explodes(Media::Png, &png(2_896, 2_896)));
    assert!(explodes(Media::Png, &png_of(10_000, 5_000, 16, 1_100_000)), "sixteen bits a colour are twice as much");
    assert!(explodes(Media::Jpeg, &jpeg_of(head(0xc2, 10_000, 5_000))));
    assert!(!explodes(Media::Jpeg, &jpeg_of(head(0xc2, 2_896, 2_896))), "eight million pixels cost nobody much");
}

/// Each scan of a JPEG makes a decoder go through the whole picture once more.
#[test]
fn a_jpeg_with_very_many_scans_is_refused() {
    let scan = [segment(0xda, &[1, 1, 0, 0, 0x3f, 0]), vec![0x3f]].concat();
    let with = |scans: usize| clean(Media::Jpeg, &[head(0xc2, 8, 8), scan.repeat(scans), vec![0xff, 0xd9]].concat());
    assert!(with(32).is_ok());
    assert_eq!(with(33), Err(Refusal::Scans { most: 32 }));
    assert_eq!(with(100_000), Err(Refusal::Scans { most: 32 }));
}

#[test]
fn an_uncommon_or_broken_picture_is_refused_with_what_is_wrong() {
    let arithmetic = jpeg_of(head(0xc9, 8, 8));
    assert!(matches!(clean(Media::Jpeg, &arithmetic), Err(Refusal::Unsupported(_))));
    let twice = jpeg_of([head(0xc0, 8, 8), segment(0xc0, &frame(8, 8))].concat());
    assert!(matches!(clean(Media::Jpeg, &twice), Err(Refusal::Unsupported(_))));
    let scanless = [head(0xc0, 8, 8), vec![0xff, 0xd9]].concat();
    assert!(matches!(clean(Media::Jpeg, &scanless), Err(Refusal::Damaged(_))));
    let critical = [png_start(8, 8), chunk(b"ABCD", b""), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")].concat();
    assert!(matches!(clean(Media::Png, &critical), Err(Refusal::Unsupported(_))));
    let mut spoiled = png(8, 8);
    spoiled[20] ^= 1;
    assert!(matches!(clean(Media::Png, &spoiled), Err(Refusal::Damaged(_))));
}

#[test]
fn a_picture_cut_off_anywhere_is_refused() {
    for (media, whole) in [(Media::Jpeg, jpeg(&[(0xfe, MARKER)])), (Media::Png, png(8, 8))] {
        for length in 0..whole.len() {
            clean(media, &whole[..length]).expect_err("a part is no picture");
        }
    }
}

proptest::proptest! {
    /// Never a panic, never a marker text in a comment, and what is clean stays as it is.
    #[test]
    fn any_bytes_come_out_clean_or_not_at_all(flips in proptest::collection::vec((0..400_usize, 0..=255_u8), 0..4), cut in 0..400_usize) {
        for (media, mut bytes) in [(Media::Jpeg, jpeg(&[(0xe1, MARKER)])), (Media::Png, png(8, 8))] {
            for (at, value) in &flips {
                if let Some(byte) = bytes.get_mut(*at) {
                    *byte = *value;
                }
            }
            bytes.truncate(cut.max(1));
            if let Ok(photo) = clean(media, &bytes) {
                proptest::prop_assert_eq!(clean(media, &photo.bytes), Ok(photo));
            }
        }
    }
}

// === helpers: real, tiny pictures ===

/// A grey JPEG of 8 by 8 pixels that any viewer shows, with these segments before its tables.
pub(crate) fn jpeg(besides: &[(u8, &[u8])]) -> Vec<u8> {
    let besides: Vec<u8> = besides.iter().flat_map(|(marker, content)| segment(*marker, content)).collect();
    let plain = jpeg_of(head(0xc0, 8, 8));
    [&[0xff, 0xd8], besides.as_slice(), &plain[2..]].concat()
}

/// One scan of one block: a difference of 0, then the end of the block.
fn jpeg_of(head: Vec<u8>) -> Vec<u8> {
    jpeg_with(head, 1)
}

/// The same with so many bytes of data.
fn jpeg_with(head: Vec<u8>, data: usize) -> Vec<u8> {
    [head, segment(0xda, &[1, 1, 0, 0, 0x3f, 0]), vec![0x3f; data], vec![0xff, 0xd9]].concat()
}

/// Everything before the scan: a table of ones, the frame, one Huffman code each for DC and AC.
fn head(marker: u8, width: u16, height: u16) -> Vec<u8> {
    let code = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(marker, &frame(width, height)),
        segment(0xc4, &code(0x00)),
        segment(0xc4, &code(0x10)),
    ]
    .concat()
}

fn frame(width: u16, height: u16) -> Vec<u8> {
    [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat()
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, content].concat()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(width, height, 8, 4)
}

/// With so many bits a colour and so many bytes of data.
fn png_of(width: u32, height: u32, bits: u8, data: usize) -> Vec<u8> {
    [png_begun(width, height, bits), chunk(b"IDAT", &vec![7; data]), chunk(b"IEND", b"")].concat()
}

fn png_start(width: u32, height: u32) -> Vec<u8> {
    png_begun(width, height, 8)
}

fn png_begun(width: u32, height: u32, bits: u8) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat()
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let summed = [&kind[..], content].concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &summed, &crc32(&summed).to_be_bytes()].concat()
}

#[test]
fn the_checksum_is_the_one_every_png_ends_with() {
    assert_eq!(crc32(b"IEND"), 0xae42_6082);
}

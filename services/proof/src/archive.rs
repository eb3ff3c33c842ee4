//! The container of a bundle: a ZIP archive of one fixed form, so that the same content always has the same bytes and every tool opens it.
//!
//! Stored, never compressed; names sorted; no time, no extra fields, no comment. `docs/bundle-format.md` says every byte. Reading writes
//! what it read once more and compares: an archive in any other form is refused, so nothing can hide between the files. Our own eighty
//! lines rather than a library's, because a library may change its bytes with its next version and a bundle has to hold for years.

use std::collections::BTreeMap;

/// The largest bundle that is read: 64 MiB.
pub const MAX_BUNDLE: usize = 64 << 20;
/// How many files a bundle has at most.
pub(crate) const MAX_FILES: usize = 1024;
/// The longest name of a file.
pub(crate) const MAX_NAME: usize = 128;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// The first of January 1980: the form has no "no date".
const DATE: u16 = 0x0021;
const LOCAL_LENGTH: usize = 30;

/// The files of a bundle by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Why some bytes are no bundle's archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    #[error("the file is larger than {MAX_BUNDLE} bytes")]
    TooLarge,
    #[error("it is no archive, or ends in the middle of one (at byte {at})")]
    Truncated { at: usize },
    #[error("the archive is not in the one form a bundle has (at byte {at})")]
    Form { at: usize },
    #[error("{name} was changed since the archive was written")]
    Damaged { name: String },
    #[error("the archive has more than {MAX_FILES} files")]
    TooMany,
    #[error("a file's name is not one a bundle can hold")]
    Name,
}

/// The one archive of these files.
pub(crate) fn write(files: &Files) -> Result<Vec<u8>, ArchiveError> {
    check_names(files)?;
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = u32_of(bytes.len())?;
        let header = header(name, content)?;
        bytes.extend(LOCAL.to_le_bytes());
        bytes.extend(&header);
        bytes.extend(0_u16.to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(content);
        entry(&mut directory, &header, name, offset);
    }
    let (count, offset, size) = (u16_of(files.len())?, u32_of(bytes.len())?, u32_of(directory.len())?);
    bytes.extend(directory);
    bytes.extend(END.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend([0; 2]);
    if bytes.len() > MAX_BUNDLE { Err(ArchiveError::TooLarge) } else { Ok(bytes) }
}

/// What local and central headers share, from "version needed" to the length of the name.
fn header(name: &str, content: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let size = u32_of(content.len())?.to_le_bytes();
    let mut header = Vec::with_capacity(24);
    header.extend(10_u16.to_le_bytes());
    header.extend([0; 6]);
    header.extend(DATE.to_le_bytes());
    header.extend(crc32fast::hash(content).to_le_bytes());
    header.extend(size);
    header.extend(size);
    header.extend(u16_of(name.len())?.to_le_bytes());
    Ok(header)
}

/// A line of the central directory: made on Unix, readable by everyone.
fn entry(directory: &mut Vec<u8>, header: &[u8], name: &str, offset: u32) {
    directory.extend(CENTRAL.to_le_bytes());
    directory.extend(0x030a_u16.to_le_bytes());
    directory.extend(header);
    directory.extend([0; 8]);
    directory.extend((0o100_644_u32 << 16).to_le_bytes());
    directory.extend(offset.to_le_bytes());
    directory.extend(name.as_bytes());
}

/// What stands in an archive, and whether it is in the one form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) files: Files,
    pub(crate) form: Result<(), ArchiveError>,
}

/// Reads the files of an archive, of a bent one too as far as they can be told apart: whoever checks wants to know what is bent.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, ArchiveError> {
    if bytes.len() > MAX_BUNDLE {
        return Err(ArchiveError::TooLarge);
    }
    let (mut files, mut damaged, mut at) = (Files::new(), None, 0);
    while word(bytes, at)? == LOCAL {
        let (name, content, next) = file(bytes, at)?;
        if word(bytes, at + 14)? != crc32fast::hash(&content) {
            damaged.get_or_insert(ArchiveError::Damaged { name: name.clone() });
        }
        files.insert(name, content);
        at = next;
        if files.len() > MAX_FILES {
            return Err(ArchiveError::TooMany);
        }
    }
    let form = damaged.map_or_else(|| check_form(bytes, &files), Err);
    Ok(Found { files, form })
}

fn check_form(bytes: &[u8], files: &Files) -> Result<(), ArchiveError> {
    let again = write(files)?;
    match again.iter().zip(bytes).position(|(ours, theirs)| ours != theirs) {
        Some(at) => Err(ArchiveError::Form { at }),
        None if bytes.len() < again.len() => Err(ArchiveError::Truncated { at: bytes.len() }),
        None if bytes.len() > again.len() => Err(ArchiveError::Form { at: again.len() }),
        None => Ok(()),
    }
}

/// The file whose header stands at `at`, and where the next one begins.
fn file(bytes: &[u8], at: usize) -> Result<(String, Vec<u8>, usize), ArchiveError> {
    let size = word(bytes, at + 18)? as usize;
    let name_length = usize::from(u16::try_from(word(bytes, at + 26)? & 0xffff).unwrap_or(u16::MAX));
    let named = at + LOCAL_LENGTH;
    let cut = |from: usize, length: usize| bytes.get(from..from.checked_add(length)?);
    let truncated = ArchiveError::Truncated { at: bytes.len() };
    let name = cut(named, name_length).ok_or(truncated.clone())?;
    let content = cut(named + name_length, size).ok_or(truncated)?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| ArchiveError::Name)?;
    Ok((name, content.to_vec(), named + name_length + size))
}

fn word(bytes: &[u8], at: usize) -> Result<u32, ArchiveError> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_le_bytes).ok_or(ArchiveError::Truncated { at: bytes.len() })
}

/// Plain relative paths only: an archive is unpacked by tools that may believe what a name says.
fn check_names(files: &Files) -> Result<(), ArchiveError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/');
    let safe = |name: &str| {
        name.len() <= MAX_NAME
            && name.bytes().all(plain)
            && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
    };
    if files.len() > MAX_FILES {
        return Err(ArchiveError::TooMany);
    }
    if files.keys().all(|name| safe(name)) { Ok(()) } else { Err(ArchiveError::Name) }
}

fn u16_of(size: usize) -> Result<u16, ArchiveError> {
    u16::try_from(size).map_err(|_| ArchiveError::TooLarge)
}

fn u32_of(size: usize) -> Result<u32, ArchiveError> {
    u32::try_from(size).map_err(|_| ArchiveError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::from([("a.txt".into(), b"one".to_vec()), ("b/c.bin".into(), vec![0; 70])])
    }

    fn strictly(bytes: &[u8]) -> Result<Files, ArchiveError> {
        let found = read(bytes)?;
        found.form.map(|()| found.files)
    }

    #[test]
    fn what_is_written_is_read_and_every_other_byte_is_refused() {
        let bytes = write(&files()).unwrap();
        assert_eq!(strictly(&bytes), Ok(files()));
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert!(strictly(&bent).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_changed_file_is_named() {
        let mut bytes = write(&files()).unwrap();
        let content = LOCAL_LENGTH + "a.txt".len();
        bytes[content] ^= 1;
        assert_eq!(strictly(&bytes), Err(ArchiveError::Damaged { name: "a.txt".into() }));
    }

    #[test]
    fn no_end_and_nothing_more_is_refused() {
        let bytes = write(&files()).unwrap();
        for length in 0..bytes.len() {
            assert!(strictly(&bytes[..length]).is_err(), "{length} bytes");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(strictly(&longer), Err(ArchiveError::Form { at: bytes.len() }));
    }

    #[test]
    fn a_file_that_stands_twice_is_refused() {
        let one = Files::from([("a.txt".into(), b"one".to_vec())]);
        let bytes = write(&one).unwrap();
        let first = &bytes[..LOCAL_LENGTH + 8];
        assert!(strictly(&[first, &bytes[..]].concat()).is_err());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["../a", "/a", "a//b", "a/", "", ".a", "a/..", "ä", "a\\b", &"a".repeat(MAX_NAME + 1)] {
            assert_eq!(write(&Files::from([(name.into(), vec![])])), Err(ArchiveError::Name), "{name:?}");
        }
    }
}

//! Journals on a real disk: torn, damaged, rewritten.

use super::*;
use waybill_protocol::Bytes;

const DELIVERY: &str = "dddddddd-0000-4000-8000-000000000001";

fn part(text: &str) -> Record {
    Record::Part { released: waybill_protocol::Hash::NONE, part: Bytes(text.as_bytes().to_vec()) }
}

fn folder() -> (tempfile::TempDir, Folder, Uid) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    (dir, folder, Uid::new(DELIVERY).unwrap())
}

fn raw(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join(format!("{DELIVERY}.journal"))
}

#[test]
fn what_was_appended_is_there_after_reopening_in_its_order() {
    let (_dir, folder, delivery) = folder();
    let (mut journal, records) = folder.journal(&delivery).unwrap();
    assert!(records.is_empty());
    journal.append(&[part("a"), part("b")]).unwrap();
    journal.append(&[Record::Closed]).unwrap();
    drop(journal);
    let (_, records) = folder.journal(&delivery).unwrap();
    assert_eq!(records, [part("a"), part("b"), Record::Closed]);
    assert_eq!(folder.deliveries().unwrap(), [delivery]);
}

#[test]
fn a_group_torn_anywhere_is_gone_whole_and_the_next_one_fits_after_it() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    journal.append(&[part("first")]).unwrap();
    let whole = fs::read(raw(&dir)).unwrap();
    journal.append(&[part("second"), part("third")]).unwrap();
    let longer = fs::read(raw(&dir)).unwrap();
    drop(journal);
    for torn in whole.len()..longer.len() {
        fs::write(raw(&dir), &longer[..torn]).unwrap();
        let (mut journal, records) = folder.journal(&delivery).unwrap();
        assert_eq!(records, [part("first")], "torn at {torn}");
        assert_eq!(journal.is_cut(), torn > whole.len());
        journal.append(&[part("again")]).unwrap();
        drop(journal);
        assert_eq!(folder.journal(&delivery).unwrap().1, [part("first"), part("again")]);
    }
}

#[test]
fn a_file_torn_while_it_was_begun_is_begun_again() {
    let (dir, folder, delivery) = folder();
    for length in 0..MAGIC.len() {
        fs::write(raw(&dir), &MAGIC[..length]).unwrap();
        let (mut journal, records) = folder.journal(&delivery).unwrap();
        assert!(records.is_empty());
        journal.append(&[Record::Closed]).unwrap();
        drop(journal);
        assert_eq!(folder.journal(&delivery).unwrap().1, [Record::Closed]);
    }
}

#[test]
fn a_flipped_bit_ends_the_journal_before_it() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    journal.append(&[part("first")]).unwrap();
    let good = fs::read(raw(&dir)).unwrap().len();
    journal.append(&[part("second")]).unwrap();
    let whole = fs::read(raw(&dir)).unwrap();
    drop(journal);
    for at in good..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        fs::write(raw(&dir), &bent).unwrap();
        assert_eq!(folder.journal(&delivery).unwrap().1, [part("first")], "byte {at}");
    }
}

#[test]
fn what_is_rewritten_away_is_nowhere_in_the_folder() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    journal.append(&[part("MARKER-7-bis")]).unwrap();
    let mut old = File::open(raw(&dir)).unwrap();
    journal.rewrite(&[Record::Closed]).unwrap();
    let mut left = Vec::new();
    old.read_to_end(&mut left).unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        left.extend(fs::read(file.unwrap().path()).unwrap());
    }
    assert!(!left.windows(6).any(|window| window == b"MARKER"), "the old file's blocks are overwritten too");
    journal.append(&[part("later")]).unwrap();
    drop(journal);
    assert_eq!(folder.journal(&delivery).unwrap().1, [Record::Closed, part("later")]);
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let (dir, folder, delivery) = folder();
    fs::write(raw(&dir), b"somebody else's file").unwrap();
    assert!(matches!(folder.journal(&delivery), Err(Error::Foreign { .. })));
    assert_eq!(fs::read(raw(&dir)).unwrap(), b"somebody else's file");
}

#[test]
fn that_a_journal_was_cut_is_known_until_it_is_rewritten_and_zeros_are_a_torn_end() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    journal.append(&[part("first")]).unwrap();
    assert!(!journal.is_cut());
    drop(journal);
    let whole = fs::read(raw(&dir)).unwrap();
    fs::write(raw(&dir), [whole.as_slice(), &[0; 64]].concat()).unwrap();
    for _ in 0..2 {
        let (mut journal, _) = folder.journal(&delivery).unwrap();
        assert!(journal.is_cut());
        journal.append(&[Record::PhotoStored]).unwrap();
    }
    let (mut journal, records) = folder.journal(&delivery).unwrap();
    assert_eq!(records, [part("first"), Record::PhotoStored, Record::PhotoStored]);
    journal.rewrite(&records).unwrap();
    assert!(!journal.is_cut());
    journal.append(&[Record::Closed]).unwrap();
    drop(journal);
    let (journal, records) = folder.journal(&delivery).unwrap();
    assert!(!journal.is_cut());
    assert_eq!(records.len(), 4);
}

#[test]
fn a_whole_group_of_a_later_version_is_left_alone() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    journal.append(&[Record::Closed]).unwrap();
    drop(journal);
    let mut file = fs::read(raw(&dir)).unwrap();
    let later = minicbor::to_vec([(99, 1)]).unwrap();
    file.extend(u32::try_from(later.len()).unwrap().to_le_bytes());
    file.extend(crc32fast::hash(&later).to_le_bytes());
    file.extend(later);
    fs::write(raw(&dir), &file).unwrap();
    assert!(matches!(folder.journal(&delivery), Err(Error::Foreign { .. })));
    assert_eq!(fs::read(raw(&dir)).unwrap(), file);
}

#[test]
fn a_journal_is_open_once_and_free_again_when_it_is_put_away() {
    let (_dir, folder, delivery) = folder();
    let (journal, _) = folder.journal(&delivery).unwrap();
    assert!(matches!(folder.journal(&delivery), Err(Error::Busy { .. })));
    drop(journal);
    let (journal, _) = folder.journal(&delivery).unwrap();
    journal.remove().unwrap();
    assert!(folder.journal(&delivery).is_ok());
}

#[test]
fn what_a_crash_left_half_rewritten_is_wiped_when_the_folder_is_opened() {
    let (dir, open, delivery) = folder();
    drop(open);
    let path = dir.path().join(format!("{DELIVERY}.next"));
    fs::write(&path, b"MARKER").unwrap();
    let mut orphan = File::open(&path).unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    assert!(!path.exists());
    let mut left = Vec::new();
    orphan.read_to_end(&mut left).unwrap();
    assert_eq!(left, [0; 6]);
    let (journal, _) = folder.journal(&delivery).unwrap();
    fs::write(&path, b"MARKER").unwrap();
    journal.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_rewrite_that_fails_leaves_nothing_behind() {
    let (dir, folder, delivery) = folder();
    let (mut journal, _) = folder.journal(&delivery).unwrap();
    // A folder in the journal's place: the last step, the rename, fails.
    fs::remove_file(raw(&dir)).unwrap();
    fs::create_dir(raw(&dir)).unwrap();
    assert!(journal.rewrite(&[part("MARKER")]).is_err());
    assert!(!dir.path().join(format!("{DELIVERY}.next")).exists());
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused() {
    let (dir, _folder, _) = folder();
    assert!(matches!(Folder::open(dir.path()), Err(Error::InUse { .. })));
}

#[test]
fn a_record_shows_its_kind_and_nothing_else() {
    assert_eq!(format!("{:?}", part("MARKER")), "Part");
}

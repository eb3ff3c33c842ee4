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
    for torn in whole.len()..longer.len() {
        fs::write(raw(&dir), &longer[..torn]).unwrap();
        let (mut journal, records) = folder.journal(&delivery).unwrap();
        assert_eq!(records, [part("first")], "torn at {torn}");
        journal.append(&[part("again")]).unwrap();
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
fn a_second_agent_on_the_same_folder_is_refused() {
    let (dir, _folder, _) = folder();
    assert!(matches!(Folder::open(dir.path()), Err(Error::InUse { .. })));
}

#[test]
fn a_record_shows_its_kind_and_nothing_else() {
    assert_eq!(format!("{:?}", part("MARKER")), "Part");
}

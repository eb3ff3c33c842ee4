use super::*;

#[test]
fn a_note_is_the_same_for_one_delivery_and_one_key_and_its_hash_tells_no_guess() {
    let note = |seed: u8, delivery: &str| Note::new(&[seed; 32], delivery, "left at number 7");
    assert_eq!(note(1, "d-1").hash(), note(1, "d-1").hash());
    assert_ne!(note(1, "d-1").hash(), note(1, "d-2").hash());
    assert_ne!(note(1, "d-1").hash(), note(2, "d-1").hash());
    assert_ne!(note(1, "d-1").hash(), Hash::of(b"left at number 7"));
    assert_eq!(Note::text(&note(1, "d-1").0), Some("left at number 7"));
    let lines = Note::new(&[1; 32], "d-1", "two\nlines");
    assert_eq!(Note::text(&lines.0), Some("two\nlines"));
}

//! The reader against archives of its own writer, of hand-made bytes, and against damage.
use archive::{Archive, ArchiveError, DATA_ALIGN, Entry, WriteError, write};
use proptest::prelude::*;

/// A header and its name with arbitrary text in the fields that matter.
fn header(magic: &str, mode: &str, file_size: &str, name: &[u8]) -> Vec<u8> {
    let zero = "00000000";
    let name_size = format!("{:08X}", name.len());
    let fields =
        [zero, mode, zero, zero, zero, zero, file_size, zero, zero, zero, zero, &name_size, zero].concat();
    let mut bytes = [magic.as_bytes(), fields.as_bytes(), name].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn file(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = header("070701", "000081A4", &format!("{:08X}", data.len()), name);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn trailer() -> Vec<u8> {
    file(b"TRAILER!!!\0", b"")
}

fn all(bytes: &[u8]) -> Result<Vec<Entry<'_>>, ArchiveError> {
    Archive::new(bytes).entries().collect()
}

#[test]
fn reads_what_an_ordinary_cpio_writes() {
    let directory = header("070701", "000041ED", "00000000", b"sbin\0");
    let bytes = [directory, file(b"sbin/init\0", b"hello"), file(b"x\0", b""), trailer()].concat();
    let entries = all(&bytes).unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.name, e.data)).collect::<Vec<_>>(),
        [("sbin", &b""[..]), ("sbin/init", b"hello"), ("x", b"")]
    );
    assert_eq!(entries.iter().map(Entry::is_file).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(Archive::new(&bytes).find("sbin/init").unwrap().unwrap().data, b"hello");
    assert_eq!(Archive::new(&bytes).find("sbin").unwrap(), None, "a directory is not a file");
    assert_eq!(Archive::new(&bytes).find("init").unwrap(), None);
}

#[test]
fn what_follows_the_trailer_is_ignored() {
    let bytes = [file(b"a\0", b"1"), trailer(), file(b"b\0", b"2")].concat();
    assert_eq!(all(&bytes).unwrap().len(), 1);
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let good = file(b"good\0", b"12345678");
    let offset = good.len();
    let cases = [
        ("empty", vec![], ArchiveError::Truncated { offset }),
        ("short header", trailer()[..109].to_vec(), ArchiveError::Truncated { offset }),
        ("short data", file(b"a\0", b"12345678")[..116].to_vec(), ArchiveError::Truncated { offset }),
        ("crc format", header("070702", "000081A4", "00000000", b"a\0"), ArchiveError::BadMagic { offset }),
        ("huge file", header("070701", "000081A4", "FFFFFFFF", b"a\0"), ArchiveError::Truncated { offset }),
        ("signed size", header("070701", "000081A4", "+0000001", b"a\0"), ArchiveError::BadNumber { offset }),
        ("bad mode", header("070701", "000081Ag", "00000000", b"a\0"), ArchiveError::BadNumber { offset }),
        ("no terminator", file(b"abc", b""), ArchiveError::BadName { offset }),
        ("no name", file(b"\0", b""), ArchiveError::BadName { offset }),
        ("nothing for a name", file(b"", b""), ArchiveError::BadName { offset }),
        ("two names", file(b"a\0b\0", b""), ArchiveError::BadName { offset }),
        ("not text", file(b"\xff\0", b""), ArchiveError::BadName { offset }),
    ];
    for (what, bad, error) in cases {
        let bytes = [good.clone(), bad].concat();
        let mut entries = Archive::new(&bytes).entries();
        assert_eq!(entries.next().unwrap().unwrap().name, "good", "{what}");
        assert_eq!(entries.next(), Some(Err(error)), "{what}");
        assert_eq!(entries.next(), None, "{what}: nothing comes after an error");
        assert_eq!(Archive::new(&bytes).find("absent"), Err(error), "{what}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_an_error_and_never_a_shorter_archive() {
    let bytes = [file(b"one\0", b"1"), file(b"two\0", b"22"), trailer()].concat();
    for cut in 0..bytes.len() {
        assert!(matches!(all(&bytes[..cut]), Err(ArchiveError::Truncated { .. })), "cut at {cut}");
    }
    assert_eq!(all(&bytes).unwrap().len(), 2);
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let text = ArchiveError::BadMagic { offset: 0x80 }.to_string();
    assert_eq!(text, "archive entry at byte 0x80 has another magic: expected 070701 (cpio newc)");
}

#[test]
fn the_writer_refuses_names_that_could_not_be_found_again() {
    let one = |name| write([(name, &b""[..])]);
    for name in ["", "a\0b", "TRAILER!!!"] {
        assert_eq!(one(name), Err(WriteError::BadName(name.into())));
    }
    let twice = write([("a", &b"1"[..]), ("a", &b"2"[..])]);
    assert_eq!(twice, Err(WriteError::DuplicateName("a".into())));
}

#[test]
fn an_empty_archive_is_one_page_and_has_no_entries() {
    let bytes = write([]).unwrap();
    assert_eq!(bytes.len(), DATA_ALIGN);
    assert_eq!(all(&bytes), Ok(vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back_on_page_boundaries(
        files in prop::collection::btree_map("[a-z/é]{1,40}", prop::collection::vec(any::<u8>(), 0..9000), 0..8)
    ) {
        let bytes = write(files.iter().map(|(name, data)| (name.as_str(), data.as_slice()))).unwrap();
        let entries = all(&bytes).unwrap();
        prop_assert_eq!(bytes.len() % DATA_ALIGN, 0);
        prop_assert_eq!(entries.len(), files.len());
        for (entry, (name, data)) in entries.iter().zip(&files) {
            prop_assert_eq!(entry.name, name);
            prop_assert_eq!(entry.data, data);
            prop_assert_eq!(entry.data_offset % DATA_ALIGN, 0);
            prop_assert!(entry.is_file());
            prop_assert_eq!(Archive::new(&bytes).find(name).unwrap().unwrap(), *entry);
        }
    }

    #[test]
    fn damaged_archives_end_in_entries_that_lie_inside(
        hits in prop::collection::vec((0usize..700, any::<u8>()), 1..6), cut in 0usize..700
    ) {
        let mut bytes = [file(b"one\0", &[7; 99]), file(b"two/three\0", b"22"), trailer()].concat();
        bytes.truncate(bytes.len().min(cut + 100));
        for (at, value) in hits {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        for entry in Archive::new(&bytes).entries().flatten() {
            prop_assert_eq!(&bytes[entry.data_offset..][..entry.data.len()], entry.data);
            prop_assert!(!entry.name.is_empty() && !entry.name.contains('\0'));
        }
    }
}

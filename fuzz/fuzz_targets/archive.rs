//! No bytes make the archive reader panic or loop; what it yields lies inside; what it yields can be packed again.
#![no_main]

use archive::{Archive, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    for entry in Archive::new(bytes).entries() {
        let Ok(entry) = entry else { break };
        assert_eq!(&bytes[entry.data_offset..][..entry.data.len()], entry.data);
        assert!(!entry.name.is_empty() && !entry.name.contains('\0'));
        if files.iter().all(|(name, _)| *name != entry.name) {
            files.push((entry.name, entry.data));
        }
    }
    // Packing pads each file to a page: a few show as much as many.
    files.truncate(8);
    let packed = write(files.iter().copied()).expect("names of an archive are names for an archive");
    let again: Result<Vec<_>, _> = Archive::new(&packed).entries().collect();
    let again = again.expect("the writer's archives are well-formed");
    assert!(again.iter().map(|entry| (entry.name, entry.data)).eq(files));
});

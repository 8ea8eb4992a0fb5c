//! What must hold of every image that the loader accepts, whatever the bytes were. The fuzz target shares this file.
use loader::{Image, Limits, MAX_SEGMENTS};

/// Panics if an accepted image breaks a promise of the crate.
pub(crate) fn check(image: &Image<'_>, bytes: &[u8], limits: Limits) {
    let mut free_from = limits.lowest;
    let mut pages = 0;
    for segment in image.segments() {
        let (memory, extent) = (segment.memory(), segment.pages());
        assert!(memory.start < memory.end, "empty segment");
        assert!(extent.start >= free_from, "pages below the limit or shared with the segment before");
        assert!(extent.end <= limits.end, "pages above the limit");
        assert!(extent.start <= memory.start && memory.end <= extent.end);
        assert!(extent.start % 4096 == 0 && extent.end % 4096 == 0);
        assert!(memory.start - extent.start < 4096 && extent.end - memory.end < 4096, "too many pages");
        assert_eq!(segment.page_count() * 4096, extent.end - extent.start);

        let tail = segment.zero_tail();
        assert_eq!((tail.start - memory.start, tail.end), (segment.data.len() as u64, memory.end));
        assert!(tail.start <= tail.end, "larger in the file than in memory");
        let stored = &bytes[if segment.data.is_empty() { 0 } else { segment.file_offset as usize }..];
        assert_eq!(&stored[..segment.data.len()], segment.data, "data from another place");

        assert!([1, 3, 4, 5].contains(&segment.rights.bits()), "rights r, rw, x, rx: {:?}", segment.rights);
        free_from = extent.end;
        pages += segment.page_count();
    }
    assert!((1..=MAX_SEGMENTS).contains(&image.segments().len()));
    assert_eq!(image.page_count(), pages);
    let entry = image.entry();
    assert!(entry % 4 == 0);
    assert!(image.segments().any(|s| s.rights.bits() & 4 != 0 && s.memory().contains(&entry)));
    if let Some(tls) = image.tls() {
        assert!(tls.align.is_power_of_two() && tls.align <= 4096);
        assert!(tls.data.len() as u64 <= tls.memory_size);
        let end = tls.address + tls.data.len() as u64;
        let inside = |s: &loader::Segment<'_>| s.memory().start <= tls.address && end <= s.memory().end;
        assert!(tls.data.is_empty() || image.segments().any(|s| s.rights.bits() & 1 != 0 && inside(s)));
    }
}

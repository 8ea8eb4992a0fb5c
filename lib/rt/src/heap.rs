//! The heap: blocks in arenas that are backed from the start, and large blocks that get memory when they are used.
//!
//! ```text
//!   up to 128 KiB     two-level segregated fit in an arena: first the reserve in the image, then mapped frames
//!   from there on     reserved addresses of their own, backed by faults (`vspace`)
//! ```
//!
//! An arena is backed as a whole, since the runtime works in it where a fault could not be handled (`pager`). One in which
//! nothing is left goes back to the memory service; so does a large block, at once.
//!
//! Growing allocates a little itself (books of page tables, a request to the memory service). That does not go in
//! circles: growing starts while [`LOW_WATER`] bytes are still free, and inside [`reserve_only`] nothing grows.

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;

use abi::{PAGE_SIZE, Rights};
use rlsf::Tlsf;

use crate::local::local;
use crate::{arch, critical, dispatch, memory, names, vspace};

/// Free bytes that the heap keeps for growing itself.
const LOW_WATER: usize = 16 * 1024;
/// Bytes that it grows by at first; later by an eighth of what it has, up to [`LARGEST_STEP`].
const FIRST_STEP: u64 = 256 * 1024;
const LARGEST_STEP: u64 = 8 << 20;
/// Bytes that it grows by when no more can be had and nothing particular is asked for.
const SMALLEST_STEP: u64 = 16 * 1024;
/// Bytes from which on a block is reserved by itself.
const LARGE: usize = 128 * 1024;
/// Arenas at a time.
const ARENAS: usize = 256;
/// Sizes of blocks: below this, then by powers of two up to [`LARGE`], then the rest.
const LEAST_CLASS: usize = 64;
const CLASSES: usize = (LARGE / LEAST_CLASS).ilog2() as usize + 2;

/// Blocks up to 256 MiB.
type Blocks = Tlsf<'static, u32, u32, 24, 16>;

/// Memory that blocks are taken from. It lies in itself, at the start.
struct Arena {
    blocks: Blocks,
    /// Bytes of all blocks in use.
    used: usize,
    /// None: the reserve in the image, which stays.
    reserved: Option<Range<u64>>,
}

struct Heap {
    /// Ascending by address: where an arena begins and ends.
    arenas: [(u64, u64); ARENAS],
    count: usize,
    /// By class: the arena in which a block was found last, or one before it in which something was freed. Each class has its
    /// own, since where a large block finds no place, small ones do; in an arena that was added for the large one, which may go
    /// soon, they would keep all of it.
    hints: [u8; CLASSES],
    /// The arena in which something was found or freed last.
    recent: usize,
    total: usize,
    used: usize,
    /// What `total` does not fall below by giving arenas back.
    floor: usize,
    /// An empty arena is held back until no more than this is in use.
    held_above: Option<usize>,
    /// The last attempt to grow failed: no more until something does not fit.
    dry: bool,
}

local! {
    static HEAP: RefCell<Heap> = RefCell::new(Heap::new());
}
local! {
    /// Allocations must do with what is there.
    static RESERVE_ONLY: Cell<bool> = Cell::new(false);
}
local! {
    /// No block is reserved by itself: it has to be backed.
    static BACKED: Cell<bool> = Cell::new(false);
}
local! {
    /// Some arena may be empty.
    static EMPTY: Cell<bool> = Cell::new(false);
}

/// Runs `f`; allocations in it do not grow the heap.
#[inline]
pub(crate) fn reserve_only<R>(f: impl FnOnce() -> R) -> R {
    let former = RESERVE_ONLY.with(|flag| flag.replace(true));
    let result = f();
    RESERVE_ONLY.with(|flag| flag.set(former));
    result
}

/// Runs `f`; blocks that are allocated in it are backed from the start, however large.
pub(crate) fn backed<R>(f: impl FnOnce() -> R) -> R {
    let former = BACKED.with(|flag| flag.replace(true));
    let result = f();
    BACKED.with(|flag| flag.set(former));
    result
}

impl Heap {
    const fn new() -> Heap {
        Heap {
            arenas: [(0, 0); ARENAS],
            count: 0,
            hints: [0; CLASSES],
            recent: 0,
            total: 0,
            used: 0,
            floor: 0,
            held_above: None,
            dry: false,
        }
    }

    fn arena(&mut self, index: usize) -> &mut Arena {
        let start: *mut Arena = core::ptr::with_exposed_provenance_mut(self.arenas[index].0 as usize);
        // SAFETY: an arena was written there when it was added, and is accessed through the one `Heap` alone.
        unsafe { &mut *start }
    }

    /// Which arena holds an address.
    fn find(&self, address: u64) -> Option<usize> {
        let holds = |&(start, end): &(u64, u64)| (start..end).contains(&address);
        if self.arenas[..self.count].get(self.recent).is_some_and(holds) {
            return Some(self.recent);
        }
        let index =
            self.arenas[..self.count].partition_point(|&(start, _)| start <= address).checked_sub(1)?;
        holds(&self.arenas[index]).then_some(index)
    }

    fn take(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        if self.count == 0 {
            return None;
        }
        let class = class_of(layout.size());
        let hint = usize::from(self.hints[class]).min(self.count - 1);
        for index in (hint..self.count).chain(0..hint) {
            let arena = self.arena(index);
            if let Some(block) = arena.blocks.allocate(layout) {
                arena.used += layout.size();
                self.used += layout.size();
                self.hints[class] = index as u8;
                self.recent = index;
                return Some(block);
            }
        }
        None
    }

    /// Gives a block back; false if it lies in no arena.
    fn give_back(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let Some(index) = self.find(block.addr().get() as u64) else { return false };
        let arena = self.arena(index);
        // SAFETY: the promise of `dealloc`'s caller: it came from `take` with this layout, hence from this arena.
        unsafe { arena.blocks.deallocate(block, layout.align()) };
        arena.used -= layout.size();
        let emptied = arena.used == 0 && arena.reserved.is_some();
        self.used -= layout.size();
        if emptied || self.held_above.is_some_and(|limit| self.used <= limit) {
            EMPTY.with(|empty| empty.set(true));
            critical::want();
        }
        self.recent = index;
        self.look_from(index);
        true
    }

    /// There is room in this arena. Not what comes after it: what is taken next would keep an arena from getting empty that is
    /// not needed any more.
    #[inline]
    fn look_from(&mut self, index: usize) {
        if self.count > 1 {
            self.hints.iter_mut().for_each(|hint| *hint = (*hint).min(index as u8));
        }
    }

    /// Adds the memory of an arena: false if there is no place for it.
    ///
    /// # Safety
    /// `range` is mapped readable and writable for as long as it is an arena, aligned to a page, and nobody else uses it.
    unsafe fn add(&mut self, range: Range<u64>, reserved: Option<Range<u64>>) -> bool {
        if self.count == ARENAS {
            return false;
        }
        let head = (size_of::<Arena>() as u64).next_multiple_of(64);
        let start: *mut Arena = core::ptr::with_exposed_provenance_mut(range.start as usize);
        let rest = core::ptr::with_exposed_provenance_mut::<u8>((range.start + head) as usize);
        let bytes = (range.end - range.start - head) as usize;
        let mut arena = Arena { blocks: Blocks::new(), used: 0, reserved };
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(block) = NonNull::new(core::ptr::slice_from_raw_parts_mut(rest, bytes)) {
                arena.blocks.insert_free_block_ptr(block);
            }
            start.write(arena);
        }
        let at = self.arenas[..self.count].partition_point(|&(start, _)| start < range.start);
        self.arenas.copy_within(at..self.count, at + 1);
        self.arenas[at] = (range.start, range.end);
        self.count += 1;
        self.look_from(at);
        self.total += bytes;
        self.held_above = self.held_above.map(|limit| limit + bytes);
        true
    }

    /// Takes an empty arena out, if what is left free without it is enough. If not, it is looked at again when it is.
    fn take_empty(&mut self) -> Option<Range<u64>> {
        self.held_above = None;
        for index in 0..self.count {
            let arena = self.arena(index);
            let Some(reserved) = arena.reserved.clone().filter(|_| arena.used == 0) else { continue };
            let head = (size_of::<Arena>()).next_multiple_of(64);
            let bytes = (reserved.end - reserved.start) as usize - head;
            let left = self.total - bytes;
            if left < self.floor {
                continue;
            }
            match left.checked_sub(2 * LOW_WATER) {
                Some(most) if self.used <= most => {}
                most => {
                    self.held_above = self.held_above.max(most);
                    continue;
                }
            }
            self.arenas.copy_within(index + 1..self.count, index);
            self.count -= 1;
            self.hints = [0; CLASSES];
            self.total = left;
            return Some(reserved);
        }
        None
    }
}

/// The class of blocks of that size.
#[inline]
fn class_of(size: usize) -> usize {
    let powers = (size | (LEAST_CLASS - 1)).ilog2() - (LEAST_CLASS - 1).ilog2();
    (powers as usize).min(CLASSES - 1)
}

/// Gives empty arenas back. Not where the books of the address space or slots may be in use.
pub(crate) fn trim() {
    if !EMPTY.with(|empty| empty.replace(false)) {
        return;
    }
    while let Some(range) = HEAP.with(|heap| heap.borrow_mut().take_empty()) {
        vspace::release_area(range.start);
    }
}

/// Adds memory to the heap, for good.
///
/// # Safety
/// The memory is aligned to a page, and nobody else uses it from now on.
pub(crate) unsafe fn add(memory: NonNull<[MaybeUninit<u8>]>) {
    let start = memory.cast::<u8>().as_ptr().expose_provenance() as u64;
    // SAFETY: the caller's promise.
    HEAP.with(|heap| unsafe { heap.borrow_mut().add(start..start + memory.len() as u64, None) });
}

fn take(layout: Layout) -> Option<NonNull<u8>> {
    HEAP.with(|heap| heap.borrow_mut().take(layout))
}

fn is_low() -> bool {
    HEAP.with(|heap| {
        let heap = heap.borrow();
        heap.total - heap.used < LOW_WATER && !heap.dry
    })
}

/// Takes memory now, so that the next `bytes` bytes in small blocks need none: for programs that live long and do not want
/// to be seen growing later. It stays. Where there is none, it is tried again when it is needed.
pub fn provide(bytes: usize) {
    let missing = HEAP.with(|heap| {
        let mut heap = heap.borrow_mut();
        heap.floor = heap.floor.max(heap.used + LOW_WATER + bytes);
        (LOW_WATER + bytes).saturating_sub(heap.total - heap.used)
    });
    if missing > 0 {
        grow(missing as u64);
    }
}

/// Allocates, growing the heap if need be. `None`: out of memory.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if RESERVE_ONLY.with(Cell::get) {
        return take(layout);
    }
    if layout.size() >= LARGE
        && !BACKED.with(Cell::get)
        // A server has to learn here that there is no memory: by a fault it would end.
        && !dispatch::in_handler()
        && let Some(block) = reserve_large(layout)
    {
        return Some(block);
    }
    if is_low() {
        grow(0);
    }
    if let Some(block) = take(layout) {
        return Some(block);
    }
    if grow(room_for(layout)?) { take(layout) } else { None }
}

/// Gives a block back.
///
/// # Safety
/// It came from [`allocate`] with this layout and is not used any more.
#[inline(never)]
pub(crate) unsafe fn deallocate(block: NonNull<u8>, layout: Layout) {
    if !HEAP.with(|heap| heap.borrow_mut().give_back(block, layout)) {
        vspace::release_area(block.addr().get() as u64);
    }
}

/// Whether a block was reserved by itself, hence reads as zeroes at first.
pub(crate) fn is_large(block: NonNull<u8>) -> bool {
    HEAP.with(|heap| heap.borrow().find(block.addr().get() as u64).is_none())
}

/// Addresses for a large block. `None` where there is no memory service, no address space, or not enough of either: then
/// it may still fit into what the domain has.
fn reserve_large(layout: Layout) -> Option<NonNull<u8>> {
    if !memory::asks() || layout.align() as u64 > PAGE_SIZE || !is_within_account(layout.size() as u64) {
        return None;
    }
    let range = vspace::reserve_for_heap(layout.size() as u64).ok()?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(range.start as usize))
}

/// Whether the domain may have so much more: what it has reserved and not used yet counts too. So who asks without end gets
/// an error, not a fault. (Others may take the memory before it is used; then it is a fault all the same.)
fn is_within_account(bytes: u64) -> bool {
    names::provide_memory();
    match memory::obtainable() {
        Ok(more) => bytes <= more.saturating_sub(vspace::promised()),
        // Who cannot be asked does not refuse either.
        Err(_) => true,
    }
}

const DATA: Rights = Rights::READ.or(Rights::WRITE);

/// Bytes of a fresh arena in which an allocation is found for sure: the fit looks only at classes of blocks that are
/// large enough throughout (16 classes between two powers of two), and the arena's own books take some.
fn room_for(layout: Layout) -> Option<u64> {
    let size = layout.size() as u64;
    size.checked_add(size / 8)?.checked_add(2 * layout.align() as u64 + 2 * PAGE_SIZE)
}

/// Grows by at least `need` bytes: a whole step if that can be had, less otherwise.
#[cold]
fn grow(need: u64) -> bool {
    let total = HEAP.with(|heap| heap.borrow().total) as u64;
    // Who lives on what it has needs the rest for other things.
    let most = if memory::asks() { LARGEST_STEP } else { LARGEST_STEP.min(memory::largest() / 2) };
    let step = (total / 8).max(FIRST_STEP).min(most);
    let Some(least) = need.max(SMALLEST_STEP).checked_next_multiple_of(PAGE_SIZE) else { return false };
    let Some(whole) = least.max(step).checked_next_multiple_of(PAGE_SIZE) else { return false };
    names::provide_memory();
    critical::probe_stack_for_call();
    let grown = critical::section(|| reserve_only(|| add_largest(whole, least)));
    HEAP.with(|heap| heap.borrow_mut().dry = !grown);
    grown
}

/// Adds an arena of `whole` bytes, or of the largest part of that that is to be had and is not below `least`.
fn add_largest(whole: u64, least: u64) -> bool {
    let mut bytes = whole;
    loop {
        if add_arena(bytes) {
            return true;
        }
        if bytes <= least {
            return false;
        }
        bytes = (bytes / 2).next_multiple_of(PAGE_SIZE).max(least);
    }
}

/// Maps memory for an arena and adds it.
fn add_arena(bytes: u64) -> bool {
    let Ok(frame) = memory::frame(bytes) else { return false };
    let Ok(mapped) = vspace::map_owned(frame, bytes, DATA) else { return false };
    let memory = arch::memory(&mapped);
    // SAFETY: just mapped, and only the heap knows of it.
    let added = HEAP.with(|heap| unsafe { heap.borrow_mut().add(memory, Some(mapped.range())) });
    if added {
        mapped.into_range();
    }
    added
}

#[cfg(target_os = "none")]
mod global {
    use super::*;
    use core::alloc::GlobalAlloc;

    /// Bytes of heap in the image: enough for small programs, and until the memory service answers.
    const RESERVE: usize = 64 * 1024;

    #[repr(align(4096))]
    struct Reserve(core::cell::UnsafeCell<[MaybeUninit<u8>; RESERVE]>);
    // SAFETY: handed to the heap once, in `start`, before anything else runs.
    unsafe impl Sync for Reserve {}
    static RESERVE_MEMORY: Reserve = Reserve(core::cell::UnsafeCell::new([MaybeUninit::uninit(); RESERVE]));

    /// Gives the reserve in the image to the heap.
    ///
    /// # Safety
    /// Called once.
    pub(crate) unsafe fn start() {
        // SAFETY: the only use ever made of it, since this is called once.
        unsafe { add(NonNull::new_unchecked(RESERVE_MEMORY.0.get())) };
    }

    struct DomainHeap;

    #[global_allocator]
    static GLOBAL: DomainHeap = DomainHeap;

    // SAFETY: blocks come from the segregated fit, which hands out disjoint blocks of the layout asked for, or are
    // reserved by themselves; the books are looked at in critical sections. Failure is null.
    unsafe impl GlobalAlloc for DomainHeap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            allocate(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
        }
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            let Some(block) = allocate(layout) else { return core::ptr::null_mut() };
            if layout.size() < LARGE || !is_large(block) {
                // SAFETY: a block of that many bytes, nobody else's.
                unsafe { block.as_ptr().write_bytes(0, layout.size()) };
            }
            block.as_ptr()
        }
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            if let Some(block) = NonNull::new(block) {
                // SAFETY: the caller's promise.
                unsafe { deallocate(block, layout) };
            }
        }
    }
}
#[cfg(target_os = "none")]
pub(crate) use global::start;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_arena_has_room_for_any_size() {
        let sizes =
            (12..22).flat_map(|shift| [1 << shift, (1 << shift) + 1, (5 << shift) / 3, (2 << shift) - 1]);
        for size in sizes {
            for align in [1, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let bytes = room_for(layout).unwrap().next_multiple_of(PAGE_SIZE) as usize;
                let memory = Layout::from_size_align(bytes, 4096).unwrap();
                // SAFETY: the layout is not empty; the block is leaked.
                let start = unsafe { std::alloc::alloc(memory) };
                let memory = core::ptr::slice_from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), bytes);
                let mut heap = Heap::new();
                let range = start.expose_provenance() as u64..start as u64 + bytes as u64;
                assert_eq!(memory.len(), bytes);
                // SAFETY: leaked memory that nobody else uses.
                assert!(unsafe { heap.add(range, None) });
                let block = heap.take(layout);
                assert!(block.is_some(), "{size} bytes aligned to {align} in {bytes}");
                assert!(heap.give_back(block.unwrap(), layout));
                assert_eq!(heap.used, 0);
            }
        }
    }

    #[derive(Clone)]
    #[repr(align(4096))]
    struct Page([u8; PAGE_SIZE as usize]);

    /// A heap over a reserve of 64 KiB, and the range of an arena that can be added to it.
    fn heap_with_reserve() -> (Heap, Range<u64>, Range<u64>) {
        const ARENA: u64 = 16 * PAGE_SIZE;
        let pages = std::vec![Page([0; PAGE_SIZE as usize]); 32].leak();
        let start = pages.as_mut_ptr().expose_provenance() as u64;
        let (reserve, later) = (start..start + ARENA, start + ARENA..start + 2 * ARENA);
        let mut heap = Heap::new();
        // SAFETY: leaked memory, of which nobody else knows.
        assert!(unsafe { heap.add(reserve.clone(), None) });
        (heap, reserve, later)
    }

    fn bytes(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    fn is_in(range: &Range<u64>, block: NonNull<u8>) -> bool {
        range.contains(&(block.addr().get() as u64))
    }

    #[test]
    fn an_arena_that_was_needed_once_gets_empty_although_something_is_always_in_use() {
        let block = bytes(1024);
        let (mut heap, reserve, later) = heap_with_reserve();
        let filling: std::vec::Vec<_> = std::iter::from_fn(|| heap.take(block)).collect();
        // SAFETY: leaked memory, of which nobody else knows.
        assert!(unsafe { heap.add(later.clone(), Some(later.clone())) });
        let [mut waiting, other] = [(); 2].map(|()| heap.take(block).unwrap());
        filling.into_iter().for_each(|it| assert!(heap.give_back(it, block)));
        assert!(heap.give_back(other, block));
        for _ in 0..3 {
            let next = heap.take(block).unwrap();
            assert!(heap.give_back(waiting, block));
            waiting = next;
        }
        assert!(is_in(&reserve, waiting));
        assert_eq!(heap.take_empty(), Some(later));
    }

    #[test]
    fn an_arena_that_was_added_for_a_large_block_keeps_no_small_one() {
        let (half, large, small) = (bytes(24 * 1024), bytes(48 * 1024), bytes(128));
        let (mut heap, reserve, later) = heap_with_reserve();
        let shorter = heap.take(half).unwrap();
        assert!(heap.take(large).is_none());
        // SAFETY: leaked memory, of which nobody else knows.
        assert!(unsafe { heap.add(later.clone(), Some(later.clone())) });
        let longer = heap.take(large).unwrap();
        assert!(is_in(&later, longer));
        let kept = heap.take(small).unwrap();
        assert!(is_in(&reserve, kept));
        assert!(heap.give_back(shorter, half) && heap.give_back(longer, large));
        assert_eq!(heap.take_empty(), Some(later));
    }

    #[test]
    fn an_empty_arena_that_is_held_back_goes_when_enough_else_is_free() {
        let (half, block) = (bytes(24 * 1024), bytes(16 * 1024));
        let (mut heap, _, later) = heap_with_reserve();
        let [first, second] = [(); 2].map(|()| heap.take(half).unwrap());
        // SAFETY: leaked memory, of which nobody else knows.
        assert!(unsafe { heap.add(later.clone(), Some(later.clone())) });
        let other = heap.take(block).unwrap();
        assert!(is_in(&later, other));
        assert!(heap.give_back(other, block));
        assert!(EMPTY.with(|empty| empty.replace(false)));
        assert_eq!(heap.take_empty(), None);
        assert!(heap.give_back(first, half));
        assert!(EMPTY.with(|empty| empty.replace(false)), "somebody is to look again");
        assert_eq!(heap.take_empty(), Some(later));
        assert!(heap.give_back(second, half));
        assert!(!EMPTY.with(Cell::get), "nothing is held back any more");
    }

    #[test]
    fn what_was_provided_stays() {
        let block = bytes(48 * 1024);
        let (mut heap, _, later) = heap_with_reserve();
        heap.floor = 80 * 1024;
        // SAFETY: leaked memory, of which nobody else knows.
        assert!(unsafe { heap.add(later.clone(), Some(later)) });
        let [first, second] = [(); 2].map(|()| heap.take(block).unwrap());
        assert!(heap.give_back(first, block) && heap.give_back(second, block));
        assert_eq!(heap.take_empty(), None);
    }

    #[test]
    fn classes_of_blocks_end_at_powers_of_two() {
        assert_eq!([0, 63, 64, 127, 128, 255, 256].map(class_of), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!([LARGE - 1, LARGE, usize::MAX].map(class_of), [CLASSES - 2, CLASSES - 1, CLASSES - 1]);
    }
}

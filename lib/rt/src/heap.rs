//! The heap: a two-level segregated fit over a reserve in the image, then over memory that is mapped as it is needed.
//!
//! Growing allocates a little itself (books of page tables, a request to the memory service). That does not go in
//! circles: growing starts while [`LOW_WATER`] bytes are still free, and inside [`reserve_only`] nothing grows.

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use abi::PAGE_SIZE;
use abi::layout::HEAP_BASE;
use rlsf::Tlsf;

use crate::error::RtError;
use crate::local::local;
use crate::{memory, vspace};

/// Free bytes that the heap keeps for growing itself.
const LOW_WATER: usize = 16 * 1024;
/// Bytes that it grows by at first; doubles up to [`LARGEST_STEP`].
const FIRST_STEP: u64 = 256 * 1024;
const LARGEST_STEP: u64 = 2 << 20;
/// Bytes that it grows by when no more can be had and nothing particular is asked for.
const SMALLEST_STEP: u64 = 16 * 1024;

/// Blocks up to 256 MiB.
type Blocks = Tlsf<'static, u32, u32, 24, 16>;

struct Heap {
    blocks: Blocks,
    total: usize,
    used: usize,
    /// One past the last byte that is mapped in the heap's window.
    top: u64,
    step: u64,
    /// The last attempt to grow failed: no more until something does not fit.
    dry: bool,
}

local! {
    static HEAP: RefCell<Heap> = RefCell::new(Heap {
        blocks: Blocks::new(),
        total: 0,
        used: 0,
        top: HEAP_BASE,
        step: FIRST_STEP,
        dry: false,
    });
}
local! {
    /// Allocations must do with what is there.
    static RESERVE_ONLY: Cell<bool> = Cell::new(false);
}

/// Runs `f`; allocations in it do not grow the heap.
#[inline]
pub(crate) fn reserve_only<R>(f: impl FnOnce() -> R) -> R {
    let former = RESERVE_ONLY.with(|flag| flag.replace(true));
    let result = f();
    RESERVE_ONLY.with(|flag| flag.set(former));
    result
}

/// Adds memory to the heap.
pub(crate) fn add(memory: &'static mut [MaybeUninit<u8>]) {
    HEAP.with(|heap| {
        let mut heap = heap.borrow_mut();
        heap.total += memory.len();
        heap.blocks.insert_free_block(memory);
    });
}

/// Bytes in use, and bytes in all.
pub fn usage() -> (usize, usize) {
    HEAP.with(|heap| (heap.borrow().used, heap.borrow().total))
}

fn take(layout: Layout) -> Option<NonNull<u8>> {
    HEAP.with(|heap| {
        let mut heap = heap.borrow_mut();
        let block = heap.blocks.allocate(layout)?;
        heap.used += layout.size();
        Some(block)
    })
}

fn is_low() -> bool {
    HEAP.with(|heap| {
        let heap = heap.borrow();
        heap.total - heap.used < LOW_WATER && !heap.dry
    })
}

/// Allocates, growing the heap if need be. `None`: out of memory.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if RESERVE_ONLY.with(Cell::get) {
        return take(layout);
    }
    if is_low() {
        grow(0);
    }
    if let Some(block) = take(layout) {
        return Some(block);
    }
    if grow(room_for(layout)?) { take(layout) } else { None }
}

/// Bytes of a fresh block in which an allocation is found for sure: the fit looks only at classes of blocks that are
/// large enough throughout (16 classes between two powers of two), and the blocks' own books take a little.
fn room_for(layout: Layout) -> Option<u64> {
    let size = layout.size() as u64;
    size.checked_add(size / 8)?.checked_add(2 * layout.align() as u64 + PAGE_SIZE)
}

/// Grows by at least `need` bytes: a whole step if that can be had, just enough otherwise.
#[cold]
fn grow(need: u64) -> bool {
    let (top, step) = HEAP.with(|heap| (heap.borrow().top, heap.borrow().step));
    let Some(least) = need.max(SMALLEST_STEP).checked_next_multiple_of(PAGE_SIZE) else { return false };
    let grown = reserve_only(|| {
        let whole = least.max(step);
        map_more(top, whole).map(|()| whole).or_else(|_| map_more(top, least).map(|()| least))
    });
    HEAP.with(|heap| heap.borrow_mut().dry = grown.is_err());
    let Ok(bytes) = grown else { return false };
    HEAP.with(|heap| {
        let mut heap = heap.borrow_mut();
        heap.top = top + bytes;
        heap.step = (step * 2).min(LARGEST_STEP);
        heap.total += bytes as usize;
        append(&mut heap.blocks, top, bytes);
    });
    true
}

fn map_more(top: u64, bytes: u64) -> Result<(), RtError> {
    let frame = memory::frame(bytes)?;
    vspace::map_heap(frame.cap(), top..top + bytes)?;
    // It stays for the life of the domain.
    frame.into_cap();
    Ok(())
}

fn append(blocks: &mut Blocks, start: u64, bytes: u64) {
    let start: *mut u8 = core::ptr::with_exposed_provenance_mut(start as usize);
    if let Some(block) = NonNull::new(core::ptr::slice_from_raw_parts_mut(start, bytes as usize)) {
        // SAFETY: the range was just mapped readable and writable for good, nothing else uses it, and it begins
        // where the last such range ended (the reserve in the image lies elsewhere).
        unsafe { blocks.insert_free_block_ptr(block) };
    }
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
        // SAFETY: the only reference ever made, since this is called once.
        add(unsafe { &mut *RESERVE_MEMORY.0.get() });
    }

    struct DomainHeap;

    #[global_allocator]
    static GLOBAL: DomainHeap = DomainHeap;

    // SAFETY: blocks come from the segregated fit, which hands out disjoint blocks of the layout asked for; a domain
    // has one context, so nothing comes between. Failure is null.
    unsafe impl GlobalAlloc for DomainHeap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            allocate(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
        }
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            HEAP.with(|heap| {
                let mut heap = heap.borrow_mut();
                heap.used -= layout.size();
                if let Some(block) = NonNull::new(block) {
                    // SAFETY: the caller's promise: it came from `alloc` with this layout.
                    unsafe { heap.blocks.deallocate(block, layout.align()) };
                }
            });
        }
    }
}
#[cfg(target_os = "none")]
pub(crate) use global::start;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_block_has_room_for_any_size() {
        let sizes =
            (12..22).flat_map(|shift| [1 << shift, (1 << shift) + 1, (5 << shift) / 3, (2 << shift) - 1]);
        for size in sizes {
            for align in [1, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let bytes = room_for(layout).unwrap().next_multiple_of(PAGE_SIZE) as usize;
                let memory = alloc::vec![MaybeUninit::uninit(); bytes].leak();
                let mut blocks = Blocks::new();
                blocks.insert_free_block(memory);
                assert!(blocks.allocate(layout).is_some(), "{size} bytes aligned to {align} in {bytes}");
            }
        }
    }
}

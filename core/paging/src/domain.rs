use abi::{CapAddr, Rights};
use vspace::{Area, Piece, Space};

use crate::{PutOff, Section, Stock};

/// What the protocol is done with: the runtime of a domain, or a model of one.
///
/// *May wait* means: for an answer of the memory service, by [`wait_as_leaf`](crate::wait_as_leaf), and for nothing else.
/// Whatever may wait is called in critical sections, and takes in nothing of what it is called for from this crate.
pub trait Domain {
    /// Why something is not to be had.
    type Error;
    /// A packet that came while something else was waited for.
    type Packet;
    /// What a leaf waits for.
    type Leaf: ?Sized;

    /// The section that the running thread is in, if it is in one.
    fn state<R>(f: impl FnOnce(&Section) -> R) -> R;
    /// The stock. On a stack that reaches far enough.
    fn stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R;
    /// The books of the address space. On a stack that is seen to reach far enough.
    fn books<R>(f: impl FnOnce(&mut Space<'static>) -> R) -> R;
    /// Packets that were put off, in a critical section.
    fn put_off<R>(f: impl FnOnce(&mut PutOff<Self::Packet>) -> R) -> R;

    /// Touches the stack as far down as a look at stock or books may go.
    fn probe_stack();
    /// Touches the stack as far down as a call to the memory service may go. Outside of critical sections.
    fn probe_stack_for_call();

    /// Adds nodes to the books for the fault to come. May wait, and so may all with `new` in their names.
    ///
    /// # Errors
    /// There are too few.
    fn new_nodes() -> Result<(), Self::Error>;
    /// An empty slot.
    ///
    /// # Errors
    /// There is none.
    fn new_slot() -> Result<CapAddr, Self::Error>;
    /// A page table of level 2 or 3.
    ///
    /// # Errors
    /// There is no memory.
    fn new_table(level: u8) -> Result<CapAddr, Self::Error>;
    /// A zeroed frame of [`CHUNK`](crate::CHUNK) bytes.
    ///
    /// # Errors
    /// There is no memory.
    fn new_frame() -> Result<CapAddr, Self::Error>;
    /// Puts a new large page around an address.
    ///
    /// # Errors
    /// There is no memory, or no room for one.
    fn new_large_page(address: u64, area: &Area) -> Result<(), Self::Error>;
    /// Deletes what is in a slot, and gives the slot back.
    fn discard(slot: CapAddr);

    /// Maps a piece by its table and enters it. Never waits.
    ///
    /// # Errors
    /// The books or the kernel refuse, and nothing has changed.
    fn map(table: CapAddr, piece: Piece, area: &Area, rights: Rights) -> Result<(), Self::Error>;
    /// Maps a table into the one above and enters it. Never waits.
    ///
    /// # Errors
    /// As [`Self::map`].
    fn install(level: u8, address: u64, table: CapAddr, slot: CapAddr) -> Result<(), Self::Error>;
    /// Zeroes what was just mapped.
    fn zero(base: u64, bytes: u64);

    /// Lets upcalls come.
    fn enable();
    /// Keeps them away.
    fn disable();
    /// Whether the memory service can be asked already.
    fn has_memory() -> bool;
    /// Makes it so, if there is one. Waits as others do.
    fn provide_memory();
    /// No other thread runs from now on, or others run again. What was before.
    fn stay_alone(alone: bool) -> bool;

    /// Whether there are other threads than the main one.
    fn others_exist() -> bool;
    /// Whether no other thread runs any more.
    fn is_alone() -> bool;
    /// Gives back what is not needed. At the end of critical sections.
    fn trim();
    /// Lets others run. At the end of critical sections.
    fn let_others_run();
    /// Something was put off: whoever looks for work finds it.
    fn note_work();

    /// Whether a packet is for the main thread alone: a server's, or nobody's.
    fn is_for_main(packet: &Self::Packet) -> bool;
    /// Gives a packet to whom it is for.
    fn deliver(packet: Self::Packet);

    /// Takes in what is ready for the leaf, and marks the rest.
    fn take_ready(leaf: &Self::Leaf);
    /// Whether the running thread was unparked since this was last asked.
    fn take_token() -> bool;
    /// Waits in the kernel. A packet for the leaf is taken in; another one is handed over.
    fn wait(leaf: &Self::Leaf) -> Option<Self::Packet>;
    /// Lets other domains run.
    fn yield_to_others();
    /// What was marked by [`Self::take_ready`] is ready again.
    fn restore_ready();
}

//! One error enum for every system call: which argument, and why.

use core::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a system call was refused. The numbers are part of the ABI; 0 is success.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum ErrorKind { $($(#[$doc])* $name = $number,)* }

        impl ErrorKind {
            /// The kind with this number, if there is one.
            pub const fn from_number(number: u64) -> Option<ErrorKind> {
                match number { $($number => Some(ErrorKind::$name),)* _ => None }
            }
            /// A sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(ErrorKind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// No system call has this number.
    UnknownSyscall = 1, "no system call has this number";
    /// The L1 index is beyond the root CNode.
    AddressOutOfRange = 2, "the capability address is beyond the root CNode";
    /// The L1 slot holds no L2 CNode.
    NoCNode = 3, "the capability address leads through an empty CNode slot";
    /// The slot is empty.
    EmptySlot = 4, "the slot is empty";
    /// The destination slot holds a capability.
    SlotOccupied = 5, "the destination slot is occupied";
    /// Slot 0 of a CNode, or a slot beyond its end.
    BadSlot = 6, "the slot number is 0 or beyond the CNode";
    /// The capability has another type than the call needs.
    WrongType = 7, "the capability has the wrong type for this call";
    /// The capability lacks a right that the call needs.
    MissingRight = 8, "the capability lacks a right that this call needs";
    /// The type table does not allow this retype.
    IllegalRetype = 9, "this type cannot be retyped to that one";
    /// The number is not a capability type, or not one that user space can make.
    BadType = 10, "no object of this type can be made";
    /// Not a multiple of the page (or of the object's size, or of the unit of the range).
    Unaligned = 11, "not aligned to the page or to the object's size";
    /// The size is not one that this type can have.
    BadSize = 12, "this type cannot have this size";
    /// Zero objects, or more than `MAX_RETYPE`, or more bytes than `MAX_RETYPE_BYTES`.
    BadCount = 13, "the number of objects is 0 or too large for one call";
    /// Offset plus size lies outside the source, or overflows.
    OutOfRange = 14, "the range lies outside the source";
    /// A descendant of the source overlaps the range.
    Overlap = 15, "a capability over part of this range exists already";
    /// The capability is shared with other cores: the monitor has to do it.
    AskMonitor = 16, "the capability is shared with other cores: ask the monitor";
    /// A revoke on its way has frozen the capability.
    Frozen = 17, "the capability is being revoked";
    /// The capability is being deleted.
    InDelete = 18, "the capability is being deleted";
    /// The type cannot be copied.
    NotCopyable = 19, "capabilities of this type cannot be copied";
    /// All address space identifiers of the core are in use.
    NoAsid = 20, "no address space identifier is free";
    /// The unit still has capabilities.
    UnitBusy = 21, "capabilities over this unit exist";
    /// The unit is not zeroed to its end yet.
    UnitNotZeroed = 22, "the unit has not been zeroed to its end";
    /// The VNode is not part of an address space yet.
    NotInstalled = 23, "the page table is not part of an address space yet";
    /// The VNode is part of an address space already.
    AlreadyInstalled = 24, "the page table is part of an address space already";
    /// Entry index plus count is beyond the VNode or the mapping, or zero.
    BadWindow = 25, "the window of entries is empty or beyond the end";
    /// Another mapping covers part of the window.
    WindowTaken = 26, "another mapping covers part of this window";
    /// A mapping may not be writable and executable at once (W^X), nor unreadable.
    WriteAndExecute = 27, "a mapping has to be readable, and cannot be writable and executable at once";
    /// No frame can be mapped at this level of the tree.
    WrongLevel = 28, "this object cannot be mapped at this level";
    /// The virtual address is outside the user half.
    BadAddress = 29, "the address is not one of user space";
    /// The dispatcher lacks its CSpace, VSpace, frame or entry.
    NotConfigured = 30, "the dispatcher is not configured";
    /// The dispatcher runs, or has ended.
    BadState = 31, "the dispatcher is not in the state that this call needs";
    /// The event index is beyond the dispatcher, or used by the other kind.
    BadEvent = 32, "no endpoint or notification can have this index";
    /// The endpoint has no ring yet.
    NoRing = 33, "the endpoint has no ring";
    /// The ring is not a power of two of 1 to 256 packets, or outside the frame.
    BadRing = 34, "the ring is not a power of two or outside the dispatcher frame";
    /// The ring is full: wait until it has drained.
    Full = 35, "the channel is full";
    /// The peer or its endpoint is gone.
    PeerGone = 36, "the other end of the channel is gone";
    /// The receiver offers no free slot for a capability now.
    NoLandingSlot = 37, "the receiver has no free slot for a capability";
    /// One of the endpoints is connected already.
    Connected = 38, "the endpoint is connected already";
    /// The interrupt number is not one that can be bound, or bound already.
    BadInterrupt = 39, "this interrupt cannot be bound";
    /// The deadline, area, or other plain number is not one of the legal ones.
    BadArgument = 40, "the argument has no meaning here";
    /// Nothing to give at the moment.
    Nothing = 41, "there is nothing to give";
    /// A plain frame was expected to be larger.
    TooSmall = 42, "the object is too small";
    /// The monitor works on a capability of the same unit: try again when it is done.
    Pending = 43, "the monitor works on this memory: try again when it is done";
    /// The machine has no core of this number.
    NoCore = 44, "the machine has no core of this number";
    /// The core has been started already.
    CoreRuns = 45, "the core runs already";
    /// Firmware did not start the core.
    CoreFailed = 46, "firmware could not start the core";
}

/// What a refused system call returns in `x0`: `kind | argument << 8`, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    /// Why.
    pub kind: ErrorKind,
    /// Which argument (register number), 0 to 7; the first where it concerns the call as a whole.
    pub argument: u8,
}

impl Error {
    /// An error about the argument in register `argument`.
    pub const fn new(kind: ErrorKind, argument: u8) -> Error {
        Error { kind, argument }
    }
    /// As the word in `x0`.
    pub const fn to_word(self) -> u64 {
        self.kind as u64 | (self.argument as u64) << 8
    }
    /// From the word in `x0`: `None` for success.
    pub const fn from_word(word: u64) -> Option<Error> {
        match ErrorKind::from_number(word & 0xff) {
            Some(kind) => Some(Error { kind, argument: (word >> 8) as u8 }),
            None => None,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error { kind, argument: 0 }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (argument {})", self.kind.text(), self.argument)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(argument {})", self.kind, self.argument)
    }
}

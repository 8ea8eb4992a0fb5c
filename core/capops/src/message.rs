//! What cores and the home of a unit say to each other.

use crate::{CoreId, Key};

/// An operation on a shared capability, which the home has to order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Request<K> {
    /// A copy of `key` for another core.
    Send {
        /// What to copy.
        key: K,
        /// For whom.
        to: CoreId,
    },
    /// A descendant `new` of `src`.
    Retype {
        /// The source.
        src: K,
        /// What to make of it.
        new: K,
    },
    /// The end of all other copies and of all descendants of `top`.
    Revoke {
        /// What stays, on the requester's core alone.
        top: K,
    },
}

impl<K: Key> Request<K> {
    /// The capability that it works on: the requester's monitor pins it with a copy of its own.
    pub const fn pinned(&self) -> K {
        match *self {
            Request::Send { key, .. } => key,
            Request::Retype { src, .. } => src,
            Request::Revoke { top } => top,
        }
    }
}

/// What a core found when it was asked about a retype; the home takes the least of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finding {
    /// It holds something in the way.
    Conflict,
    /// Nothing in the way, but something inside the source.
    Inside,
    /// Nothing inside the source.
    Nothing,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Nothing was done.
    Failed,
    /// It is done; a retype may be.
    Granted,
    /// A retype may be done, and nobody else holds anything inside its source.
    GrantedAlone,
}

/// From a core to the home.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToHome<K> {
    /// At most one a core and unit is unanswered.
    Request(Request<K>),
    /// The core holds nothing of the unit any more.
    Gone,
    /// Answers [`ToCore::Deliver`].
    Delivered {
        /// Whether the capability was taken.
        accepted: bool,
        /// Whether the core holds nothing of the unit.
        empty: bool,
    },
    /// Answers [`ToCore::Check`].
    Checked(Finding),
    /// Answers [`ToCore::Mark`].
    Marked,
    /// Answers [`ToCore::Sweep`], when the last step is done.
    Swept {
        /// Whether the core holds nothing of the unit.
        empty: bool,
    },
    /// Answers [`ToCore::Survey`].
    Surveyed {
        /// Whether a capability spans the cut.
        spanned: bool,
    },
    /// Answers [`ToCore::Cut`].
    IsCut {
        /// Whether the core holds nothing below the cut.
        lower_empty: bool,
        /// Whether the core holds nothing above the cut.
        upper_empty: bool,
    },
}

/// From the home to a core.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToCore<K> {
    /// A capability comes.
    Deliver {
        /// Which.
        key: K,
        /// Whether it is the first of its unit: nobody else has anything of it, and it is taken if there is any place for it.
        exclusive: bool,
    },
    /// May `new` be made of `src`?
    Check {
        /// The source.
        src: K,
        /// What is to be made of it.
        new: K,
    },
    /// Freeze `top` and all its descendants.
    Mark {
        /// What is revoked.
        top: K,
        /// Whether the receiver is the revoker, who keeps `top`.
        keeps_top: bool,
    },
    /// Delete what is frozen.
    Sweep,
    /// Does a capability span this address?
    Survey {
        /// Where the unit is to be cut.
        at: u64,
    },
    /// From now on there are two units.
    Cut {
        /// First address of the upper one.
        at: u64,
    },
    /// The answer to a request.
    Done(Verdict),
}

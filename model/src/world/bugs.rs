//! Mistakes made on purpose: a checker that finds none of them proves nothing. They are made around the protocol, in what
//! calls it; the protocol itself has no switches.

/// A mistake. `tests/bugs.rs` says which check has to find it; [`Bug::Unfair`] takes infinite paths, and is a run of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A local retype does not ask whether its source is exclusive.
    RetypeShared,
    /// Domains go on using what is frozen.
    UseFrozen,
    /// The last copy of what a request works on can be deleted.
    DeletePinned,
    /// A send leaves the ancestors exclusive.
    ShareItselfOnly,
    /// When a retype is granted nobody looks again at what has been made in the meantime.
    NoSecondLook,
    /// A retype looks only at what lies inside the new capability, not at what overlaps it. In a unit of two granules it is the
    /// same.
    OnlyInside,
    /// `Gone` clears the sharer's bit although a capability is on its way there.
    GoneDespiteDelivery,
    /// The home does not look at `empty` when a delivery is answered.
    ForgetEmpty,
    /// A `Gone` that is due is sent although the answer to a delivery or sweep has said it.
    GoneTwice,
    /// A revocation cancels no request.
    NoCancel,
    /// A revocation cancels requests when it begins, rather than when it is decided.
    CancelEarly,
    /// A revocation is decided by the first answer.
    CommitEarly,
    /// Today's sharers are told to sweep, not those that froze.
    SweepToday,
    /// A sweep is answered after its first step.
    SweptEarly,
    /// A retype that others would notice is granted as if they had nothing of the source.
    GrantAlone,
    /// A unit is handed out again as it came back.
    NotZeroed,
    /// Requests are begun in any order.
    Unfair,
    /// A unit is cut although a capability spans the cut.
    CutBlind,
    /// Requests about the upper part stay with the lower one.
    CutForgets,
    /// Emptying an object waits while what lies in it is frozen, and a sweep waits until no object holds what it deletes.
    CascadeWaits,
    /// A core that has stopped stays a sharer.
    StoppedShares,
}

//! The guards: what may be done on one core at once, what takes the home, what has to wait.
//!
//! They are functions of a few facts, so that a kernel that has the facts at hand applies the very guards that were checked.

/// Why an operation was not begun. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The core does not hold the capability.
    NotHeld,
    /// A revocation that is under way has frozen it.
    Frozen,
    /// Copies or descendants may be on other cores: the home has to order it.
    Shared,
    /// All copies and descendants are on this core: there is nothing to ask the home.
    Exclusive,
    /// Another request of this core for this unit is unanswered.
    Busy,
    /// Something that is held is in the way.
    Conflict,
    /// There is no place for what would come of it.
    NoRoom,
    /// The monitor works on it: the last copy cannot go.
    Pinned,
    /// The message or event makes no sense in this state.
    Nonsense,
    /// The core has stopped.
    Stopped,
}

/// What the guards want to know of a capability on one core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The core holds it.
    pub held: bool,
    /// It lies in what a revocation has frozen.
    pub frozen: bool,
    /// No copy and no descendant is on another core or on its way.
    pub exclusive: bool,
    /// The core has a request for the unit that is unanswered.
    pub busy: bool,
}

impl Facts {
    /// Whether it may be worked with at all.
    ///
    /// # Errors
    /// [`Refusal::NotHeld`], [`Refusal::Frozen`].
    #[inline(always)]
    pub const fn usable(self) -> Result<(), Refusal> {
        if !self.held {
            return Err(Refusal::NotHeld);
        }
        if self.frozen { Err(Refusal::Frozen) } else { Ok(()) }
    }

    /// Whether a retype concerns this core alone.
    ///
    /// # Errors
    /// Those of [`Facts::usable`]; [`Refusal::Shared`].
    #[inline(always)]
    pub const fn local(self) -> Result<(), Refusal> {
        match self.usable() {
            Ok(()) if !self.exclusive => Err(Refusal::Shared),
            other => other,
        }
    }

    /// Whether a revocation concerns this core alone. What a request has pinned may be a descendant, and must not go.
    ///
    /// # Errors
    /// Those of [`Facts::local`]; [`Refusal::Busy`].
    #[inline(always)]
    pub const fn revoke(self) -> Result<(), Refusal> {
        match self.local() {
            Ok(()) if self.busy => Err(Refusal::Busy),
            other => other,
        }
    }

    /// Whether the home may be asked for a retype or revocation.
    ///
    /// # Errors
    /// Those of [`Facts::send`]; [`Refusal::Exclusive`].
    pub const fn coordinated(self) -> Result<(), Refusal> {
        match self.send() {
            Ok(()) if self.exclusive => Err(Refusal::Exclusive),
            other => other,
        }
    }

    /// Whether the home may be asked to send it.
    ///
    /// # Errors
    /// Those of [`Facts::usable`]; [`Refusal::Busy`].
    pub const fn send(self) -> Result<(), Refusal> {
        match self.usable() {
            Ok(()) if self.busy => Err(Refusal::Busy),
            other => other,
        }
    }
}

//! What the primitives need from the runtime.

/// The threads of one core, as the primitives see them.
///
/// No method is called inside [`Platform::critical`] but [`current`](Platform::current),
/// [`is_alive`](Platform::is_alive) and [`may_wait`](Platform::may_wait), and critical sections are never nested.
pub trait Platform {
    /// Names a thread; a name is never given to another thread.
    type Thread: Copy + Eq;

    /// The thread whose stack is in use.
    fn current() -> Self::Thread;

    /// Waits until the current thread is unparked, and takes the token. May return spuriously. If the thread was unparked
    /// since it last parked, it returns at once: nothing that happens before this call is lost.
    fn park();

    /// As [`Self::park`], but not for longer than until [`Self::now`] is `deadline` or later.
    fn park_until(deadline: u64);

    /// The time, in the unit of deadlines.
    fn now() -> u64;

    /// Makes `thread` return from its present or next [`Self::park`]. Does nothing to one that has ended.
    fn unpark(thread: Self::Thread);

    /// Runs `f`, in which no other thread of this core runs, and no handler. `f` is short, does not panic, does not
    /// allocate or free memory, and runs no code of the user.
    fn critical<R>(f: impl FnOnce() -> R) -> R;

    /// Whether the current thread may park: not in a message handler or task.
    fn may_wait() -> bool;

    /// Whether a thread may still run.
    ///
    /// When a thread has ended otherwise than by returning (a panic, a fault), the platform calls [`Self::unpark`] for
    /// every other one after this has become false: who waits for something that the thread held looks again.
    fn is_alive(thread: Self::Thread) -> bool;
}

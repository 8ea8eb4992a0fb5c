//! The other cores: starting them, and who runs.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use abi::layout::KERNEL;
use interfaces::CoreState;
use rt::{RtError, slots};
use sys::{Cap, Frame, Kernel, Ram};

use crate::monitor::{FRAME_BYTES, Monitor};

/// How long a core may take until its monitor answers. One that does not never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a core does not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CoreError {
    /// The machine has none of this number.
    NoCore,
    /// It runs.
    Runs,
    /// It is being started.
    Starting,
    /// There is no memory left for it.
    NoMemory,
    /// The kernel, or firmware, did not start it.
    Kernel(sys::Error),
    /// The runtime refused what is needed for it.
    Runtime(RtError),
    /// It was started, and is not heard of.
    Silent,
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoreError::NoCore => f.write_str("the machine has no such core"),
            CoreError::Runs => f.write_str("it runs already"),
            CoreError::Starting => f.write_str("it is being started"),
            CoreError::NoMemory => f.write_str("too little memory: give the machine more (--memory)"),
            CoreError::Kernel(error) => error.fmt(f),
            CoreError::Runtime(error) => error.fmt(f),
            CoreError::Silent => f.write_str("it was started and does not answer"),
        }
    }
}

impl From<RtError> for CoreError {
    fn from(error: RtError) -> CoreError {
        CoreError::Runtime(error)
    }
}

/// How it is with a core.
enum State {
    Off(Option<Cap<Ram>>),
    Starting,
    Up,
    Failed(CoreError),
}

/// The cores of the machine, from the first on.
#[derive(Clone)]
pub(crate) struct Cores {
    monitor: Monitor,
    states: Rc<RefCell<Vec<State>>>,
    /// What is shared with the monitors of cores that were tried to start.
    frames: Rc<RefCell<BTreeMap<u32, Cap<Frame>>>>,
}

impl Cores {
    /// Only this one, the first, of `count` runs; `shares` are for the others.
    pub(crate) fn new(monitor: Monitor, count: u32, shares: Vec<Cap<Ram>>) -> Cores {
        let mut shares = shares.into_iter();
        let others = (1..count).map(|_| State::Off(shares.next()));
        let states = core::iter::once(State::Up).chain(others).collect();
        Cores { monitor, states: Rc::new(RefCell::new(states)), frames: Rc::default() }
    }

    /// How many cores the machine has.
    pub(crate) fn count(&self) -> u32 {
        self.states.borrow().len() as u32
    }

    /// How many of them run.
    pub(crate) fn running(&self) -> u32 {
        self.states.borrow().iter().filter(|state| matches!(state, State::Up)).count() as u32
    }

    /// How it is with a core.
    pub(crate) fn state(&self, core: u32) -> CoreState {
        match self.states.borrow().get(core as usize) {
            None | Some(State::Off(_)) => CoreState::Off,
            Some(State::Starting) => CoreState::Starting,
            Some(State::Up) => CoreState::Up,
            Some(State::Failed(_)) => CoreState::Silent,
        }
    }

    /// Starts a core, and waits until its monitor is ready.
    ///
    /// # Errors
    /// [`CoreError`]; the others go on.
    pub(crate) async fn start(&self, core: u32) -> Result<(), CoreError> {
        let share = self.begin(core)?;
        let done = self.start_with(core, share).await;
        let state = match done {
            Ok(()) => State::Up,
            // Its memory is still whole.
            Err(CoreError::Kernel(_) | CoreError::Runtime(_)) => State::Off(Some(share)),
            Err(error) => State::Failed(error),
        };
        self.states.borrow_mut()[core as usize] = state;
        done
    }

    /// The memory of a core that can be started.
    fn begin(&self, core: u32) -> Result<Cap<Ram>, CoreError> {
        let mut states = self.states.borrow_mut();
        let state = states.get_mut(core as usize).ok_or(CoreError::NoCore)?;
        let share = match state {
            State::Off(share) => share.ok_or(CoreError::NoMemory)?,
            State::Up => return Err(CoreError::Runs),
            State::Starting => return Err(CoreError::Starting),
            State::Failed(error) => return Err(*error),
        };
        *state = State::Starting;
        Ok(share)
    }

    async fn start_with(&self, core: u32, share: Cap<Ram>) -> Result<(), CoreError> {
        let frame = self.link(core)?;
        Cap::<Kernel>::new(KERNEL).start_core(core, share, frame).map_err(CoreError::Kernel)?;
        slots::release(share.address());
        rt::time::within(PATIENCE, self.monitor.is_ready(core)).await.ok_or(CoreError::Silent)
    }

    /// The frame that is shared with the monitor of a core, which uses it at once when it runs.
    fn link(&self, core: u32) -> Result<Cap<Frame>, RtError> {
        if let Some(&frame) = self.frames.borrow().get(&core) {
            return Ok(frame);
        }
        let frame = monitor_frame()?;
        self.monitor.link(core, frame)?;
        self.frames.borrow_mut().insert(core, frame);
        Ok(frame)
    }
}

/// A frame for this monitor and another one, zeroed.
fn monitor_frame() -> Result<Cap<Frame>, RtError> {
    let (early, offset) = rt::memory::carve(FRAME_BYTES, abi::PAGE_SIZE)?;
    let slot = slots::allocate()?;
    early.retype::<Frame>(offset, FRAME_BYTES, 1, slot).inspect_err(|_| slots::release(slot))?;
    Ok(Cap::new(slot))
}

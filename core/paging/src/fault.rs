//! What a fault does to the thread that made it.

use abi::Rights;

use crate::{Domain, Section, Unbacked, back, deliver_for_clients, enter, leave};

/// The fault cannot be mended: a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmended {
    /// What is wrong.
    pub why: Unbacked,
    /// How many critical sections the thread was in.
    pub depth: u32,
}

/// The running thread faulted. On the stack of faults, with upcalls disabled, and so it ends, if it is well: then the thread
/// can go on where it was. Otherwise upcalls are enabled, in a critical section.
///
/// # Errors
/// The thread cannot go on.
#[inline]
pub fn mend<D: Domain>(address: u64, wanted: Option<Rights>) -> Result<(), Unmended> {
    let depth = D::state(Section::depth);
    enter::<D>();
    // Upcalls may come from here on; they leave a critical section alone.
    D::enable();
    if depth == 0 && !D::has_memory() {
        // Only a stack that grows before the program has done anything else: later it is connected.
        let former = D::stay_alone(true);
        leave::<D>();
        D::provide_memory();
        enter::<D>();
        D::stay_alone(former);
    }
    let backed = match wanted {
        Some(rights) => back::<D>(address, rights, depth != 0),
        None => Err(Unbacked::Nothing),
    };
    backed.map_err(|why| Unmended { why, depth })?;
    if depth == 0 {
        // What came for others while the memory service was waited for.
        deliver_for_clients::<D>();
    }
    // Nothing faults from here on.
    D::disable();
    D::state(|state| state.set_depth(depth));
    Ok(())
}

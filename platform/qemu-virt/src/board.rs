//! The board as the kernel drives it: console, interrupts, timer, power. System registers and PSCI calls are here.

use core::arch::asm;

use crate::console::Console;
use crate::facts::{Affinity, Conduit, Facts};
use crate::gicv3::{Gic, Trigger, find_redistributor};
use crate::mmio::Mmio;

/// What the kernel of a core drives itself. A plain value without shared state; each core makes its own.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// The UART, polled: for early output and panics.
    pub console: Console<Mmio>,
    /// The interrupt controller.
    pub interrupts: Interrupts,
    /// The core's virtual timer.
    pub timer: Timer,
    /// Power-off and reset.
    pub power: Power,
}

impl Board {
    /// The early console alone, before and without the rest.
    ///
    /// # Safety
    /// The console's registers are mapped as device memory at `window` plus their physical address, for good.
    pub unsafe fn console(facts: &Facts, window: u64) -> Console<Mmio> {
        // SAFETY: the caller's promise.
        Console::new(unsafe { Mmio::new((window + facts.console.base) as usize) })
    }

    /// Makes the board ready on this core: its interrupts all masked, timer off. `first`: it is the core that boots, which
    /// also sets up what all cores share. `None` if the interrupt controller has no redistributor for this core.
    ///
    /// # Safety
    /// At EL1, once a core; `first` on one core, before any other starts. The registers of console, distributor and redistributors are mapped as device memory at
    /// `window` plus their physical address, for good.
    pub unsafe fn start(facts: &Facts, window: u64, first: bool) -> Option<Self> {
        // SAFETY: the caller's promise.
        let (console, distributor, redistributors) = unsafe {
            (
                Self::console(facts, window),
                Mmio::new((window + facts.distributor.base) as usize),
                Mmio::new((window + facts.redistributors.base) as usize),
            )
        };
        let affinity = affinity();
        let own = find_redistributor(&redistributors, facts.redistributors.size as usize, affinity.0)?;
        // SAFETY: `own` was found inside the mapped region.
        let gic = Gic::new(distributor, unsafe { redistributors.at(own) });
        if first {
            gic.start_distributor(affinity.0);
        }
        gic.start_redistributor();
        CpuInterface::start();
        let timer = Timer;
        timer.disarm();
        Some(Self { console, interrupts: Interrupts { gic }, timer, power: Power { conduit: facts.conduit } })
    }
}

/// This core.
pub fn affinity() -> Affinity {
    let mpidr: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) mpidr, options(nomem, nostack, preserves_flags)) };
    Affinity::of(mpidr)
}

/// The CPU interface of the GICv3: system registers of this core (IHI 0069H, 12.2).
/// `end` is priority drop and deactivation in one (EOImode 0).
#[derive(Clone, Copy, Debug)]
pub struct CpuInterface;

impl CpuInterface {
    fn start() {
        // SAFETY: the GIC registers of this core, at EL1; interrupts are masked in PSTATE and at their sources.
        unsafe {
            asm!(
                "mrs {t}, icc_sre_el1",
                "orr {t}, {t}, #1",
                "msr icc_sre_el1, {t}",
                "isb",
                "mov {t}, #0xff",
                "msr icc_pmr_el1, {t}",
                "msr icc_bpr1_el1, xzr",
                "msr icc_ctlr_el1, xzr",
                "mov {t}, #1",
                "msr icc_igrpen1_el1, {t}",
                "isb",
                t = out(reg) _, options(nostack, preserves_flags)
            );
        }
    }

    /// Takes the highest pending interrupt; it is active until [`CpuInterface::end`]. `None`: it was spurious.
    #[inline(always)]
    pub fn acknowledge() -> Option<u32> {
        let intid: u64;
        // SAFETY: takes an interrupt, which the kernel then owns until it ends it.
        unsafe { asm!("mrs {}, icc_iar1_el1", out(reg) intid, options(nostack, preserves_flags)) };
        // 1020 to 1023 mean "none for you".
        if intid < 1020 { Some(intid as u32) } else { None }
    }

    /// Makes a software-generated interrupt (0 to 15) pending on another core, after all that was written before it.
    #[inline(always)]
    pub fn signal(core: Affinity, intid: u32) {
        // SAFETY: no memory is touched; the other core's kernel takes a spurious one for what it is (K1).
        unsafe {
            asm!("dsb ish", "msr icc_sgi1r_el1, {}", "isb", in(reg) core.sgi_word(intid),
                 options(nostack, preserves_flags));
        }
    }

    /// Ends an interrupt that was acknowledged.
    #[inline(always)]
    pub fn end(intid: u32) {
        // SAFETY: EOImode 0; ends what `acknowledge` gave.
        unsafe { asm!("msr icc_eoir1_el1, {}", in(reg) u64::from(intid), options(nostack, preserves_flags)) };
    }
}

/// The interrupt controller, as this core sees it.
#[derive(Clone, Copy, Debug)]
pub struct Interrupts {
    gic: Gic<Mmio>,
}

impl Interrupts {
    /// See [`CpuInterface::acknowledge`].
    #[inline(always)]
    pub fn acknowledge(&self) -> Option<u32> {
        CpuInterface::acknowledge()
    }

    /// See [`CpuInterface::end`]. For an interrupt that user space handles: mask, then end; unmask when it is done.
    #[inline(always)]
    pub fn end(&self, intid: u32) {
        CpuInterface::end(intid);
    }

    /// See [`Gic::mask`].
    pub fn mask(&self, intid: u32) {
        self.gic.mask(intid);
    }

    /// See [`Gic::unmask`].
    pub fn unmask(&self, intid: u32) {
        self.gic.unmask(intid);
    }

    /// See [`Gic::set_trigger`].
    pub fn set_trigger(&self, intid: u32, trigger: Trigger) {
        self.gic.set_trigger(intid, trigger);
    }

    /// One past the highest INTID.
    pub fn count(&self) -> u32 {
        self.gic.end()
    }
}

/// The virtual timer of this core: the counter that user space reads as CNTVCT_EL0, and one deadline. Its interrupt is
/// [`crate::TIMER_INTERRUPT`].
#[derive(Clone, Copy, Debug)]
pub struct Timer;

impl Timer {
    /// Ticks since power-on.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        let now: u64;
        // SAFETY: reads the counter. Not ordered with what is around it, which deadlines do not need.
        unsafe { asm!("mrs {}, cntvct_el0", out(reg) now, options(nomem, nostack, preserves_flags)) };
        now
    }

    /// Ticks a second.
    #[inline(always)]
    pub fn frequency(&self) -> u64 {
        let frequency: u64;
        // SAFETY: reads a register that firmware has set.
        unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
        frequency
    }

    /// Interrupts as soon as [`Timer::now`] has reached `deadline`, and until it is armed anew or disarmed.
    #[inline(always)]
    pub fn arm(&self, deadline: u64) {
        // SAFETY: the kernel owns this core's virtual timer.
        unsafe {
            asm!("msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", in(reg) deadline, in(reg) 1u64,
                 options(nomem, nostack, preserves_flags));
        }
    }

    /// No interrupt any more; takes effect before an interrupt is ended after it.
    #[inline(always)]
    pub fn disarm(&self) {
        // SAFETY: the kernel owns this core's virtual timer.
        unsafe { asm!("msr cntv_ctl_el0, xzr", "isb", options(nomem, nostack, preserves_flags)) };
    }
}

/// Power by PSCI (Arm DEN 0022).
#[derive(Clone, Copy, Debug)]
pub struct Power {
    conduit: Conduit,
}

/// Why a core was not started (PSCI return codes, DEN 0022, 5.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// It runs already, or is about to.
    AlreadyOn,
    /// There is no such core.
    NoSuchCore,
    /// Firmware failed, or cannot start cores.
    Failed,
}

/// CPU_ON for 64-bit callers, SYSTEM_OFF and SYSTEM_RESET (DEN 0022, 5.1).
const CPU_ON: u64 = 0xc400_0003;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

impl Power {
    /// Power by this conduit.
    pub const fn new(conduit: Conduit) -> Self {
        Self { conduit }
    }

    /// Switches the machine off.
    pub fn off(&self) -> ! {
        self.call(SYSTEM_OFF)
    }

    /// Starts the machine anew.
    pub fn reset(&self) -> ! {
        self.call(SYSTEM_RESET)
    }

    /// Starts a core at physical address `entry`, with `context` in its `x0`, its MMU off.
    pub fn start_core(&self, core: Affinity, entry: u64, context: u64) -> Result<(), StartError> {
        match self.firmware(CPU_ON, [core.mpidr(), entry, context]) as i32 {
            0 => Ok(()),
            -2 => Err(StartError::NoSuchCore),
            -4 | -5 => Err(StartError::AlreadyOn),
            _ => Err(StartError::Failed),
        }
    }

    fn firmware(&self, function: u64, [mut x1, mut x2, mut x3]: [u64; 3]) -> u64 {
        let mut x0 = function;
        // SAFETY: the SMC calling convention (DEN 0028): x0 to x17 are lost, memory of this core is not touched. What a core
        // that is started does is the caller's business.
        unsafe {
            match self.conduit {
                Conduit::Hvc => asm!("hvc #0", inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2,
                                     inlateout("x3") x3, clobber_abi("C")),
                Conduit::Smc => asm!("smc #0", inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2,
                                     inlateout("x3") x3, clobber_abi("C")),
            }
        }
        let _ = (x1, x2, x3);
        x0
    }

    fn call(&self, function: u64) -> ! {
        self.firmware(function, [0; 3]);
        loop {
            // SAFETY: waits for an interrupt, for ever, should firmware have refused.
            unsafe { asm!("wfi", options(nomem, nostack)) };
        }
    }
}

//! What the system must reach: the figures that `bench` compares with.
//!
//! Instructions are those of one emulated core under `-icount shift=0`. The peers' figures were measured in the
//! same emulator: seL4 (sel4bench, fast path on) and Linux 6.1.

/// Largest text of the kernel in bytes.
pub const KERNEL_TEXT: u64 = 64 << 10;

/// A figure that must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// As in the guest's `bench NAME VALUE UNIT`.
    pub name: &'static str,
    /// Largest value allowed.
    pub limit: f64,
    /// What the value counts.
    pub unit: &'static str,
}

/// All bounds, in the order of the report.
pub const BOUNDS: [Bound; 13] = [
    bound("boot_to_prompt", 15e6, "instructions"),
    bound("boot_wall_ratio", 10.0, "times a bare program"),
    // seL4: 91.
    bound("null_syscall", 91.0, "instructions"),
    // Both directions of a 7-word packet in the kernel; seL4: 453 for 4 words.
    bound("lmp_call_reply_kernel", 300.0, "instructions"),
    // The same through generated stubs, kernel and user code of both sides.
    bound("rpc_round_trip", 900.0, "instructions"),
    bound("map_window_page", 200.0, "instructions"),
    // seL4: 535.
    bound("map_lone_page", 535.0, "instructions"),
    // With 10,000 capabilities in the database; seL4: 648.
    bound("cap_copy", 648.0, "instructions"),
    // 100 copies, nothing to zero, beside 1,000 and 10,000 others; seL4: 23,109 beside few.
    bound("revoke_100_of_1000", 23_109.0, "instructions"),
    bound("revoke_100_of_10000", 45_000.0, "instructions"),
    // To the domain's own handler and back; seL4, to another thread and back: 1,129.
    bound("fault_upcall", 500.0, "instructions"),
    bound("kernel_text", KERNEL_TEXT as f64, "bytes"),
    bound("idle_host_cpu", 5.0, "% of one core"),
];

const fn bound(name: &'static str, limit: f64, unit: &'static str) -> Bound {
    Bound { name, limit, unit }
}

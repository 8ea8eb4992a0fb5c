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

/// The unit of growth from 10 to 100,000.
pub const GROWTH: &str = "times beside 10";

/// All bounds, in the order of the report.
pub const BOUNDS: [Bound; 20] = [
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
    // 64 MiB, page by page: all faults, requests to the memory server and zeroing; Linux: 1,738.
    bound("first_touch_page", 1_738.0, "instructions"),
    // 64 MiB in pages of 2 MiB, all of it; Linux: 5.3 M, of which 4.2 M are zeroing.
    bound("first_touch_large", 5.3e6, "instructions"),
    // 4 KiB that come, are touched and go; Linux, mmap and munmap: 15,053.
    bound("map_touch_unmap", 7_500.0, "instructions"),
    // It stays in user space; seL4: 329, Linux: 1,139.
    bound("thread_yield", 120.0, "instructions"),
    // Linux: 25,033; seL4, created and started alone: about 3,600.
    bound("thread_create_join", 5_000.0, "instructions"),
    // Beside 100,000 in times of beside 10: what is a logarithm and nothing else grows to log 100,000 / log 10.
    bound("allocate_growth", 5.0, GROWTH),
    bound("reserve_growth", 5.0, GROWTH),
    bound("kernel_text", KERNEL_TEXT as f64, "bytes"),
    bound("idle_host_cpu", 5.0, "% of one core"),
];

const fn bound(name: &'static str, limit: f64, unit: &'static str) -> Bound {
    Bound { name, limit, unit }
}

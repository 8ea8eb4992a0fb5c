//! Domain numbers: each is unique over all cores, and tells its core.
//!
//! ```text
//!   0                  nobody: no domain has it
//!   core + 16 × role   a part of the system, below 256
//!   core + 16 × n      a program, from 256 on: n counts up on each core, and no number is used again
//! ```
//!
//! So those who build domains on different cores need not agree on anything, and whoever knows a number knows the core
//! and whether to trust it as a part of the system.

/// Cores that numbers tell apart.
pub const CORES: u32 = 16;
/// The first number of a program, the one on core 0.
pub const FIRST_PROGRAM: u64 = 256;

/// From one domain of a core to its next.
const STEP: u64 = CORES as u64;

/// A part of the system: one that `init` builds, or `init` itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Role {
    /// The first domain of a core, built by its kernel.
    Init = 1,
    /// The memory server of a core.
    Mem = 2,
    /// The name service of a core.
    Names = 3,
    /// The driver of the console.
    Serial = 4,
    /// The spawn service of a core.
    Spawn = 5,
}

impl Role {
    /// All of them, by their numbers.
    pub const ALL: [Role; 5] = [Role::Init, Role::Mem, Role::Names, Role::Serial, Role::Spawn];

    /// The number of this part on `core` (below [`CORES`]).
    pub const fn on(self, core: u32) -> u64 {
        core as u64 % STEP + STEP * self as u64
    }

    /// Which part of the system has this number, if one does.
    pub const fn of(domain: u64) -> Option<Role> {
        match domain / STEP {
            1 => Some(Role::Init),
            2 => Some(Role::Mem),
            3 => Some(Role::Names),
            4 => Some(Role::Serial),
            5 => Some(Role::Spawn),
            _ => None,
        }
    }

    /// Whether `core` has this part: the console is the first core's alone.
    pub const fn runs_on(self, core: u32) -> bool {
        core == 0 || !matches!(self, Role::Serial)
    }

    /// Its name, also that of its program.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Init => "init",
            Role::Mem => "mem",
            Role::Names => "names",
            Role::Serial => "serial",
            Role::Spawn => "spawn",
        }
    }
}

/// The core where the domain runs.
pub const fn core_of(domain: u64) -> u32 {
    (domain % STEP) as u32
}

/// Whether the domain is a program, and no part of the system.
pub const fn is_program(domain: u64) -> bool {
    domain >= FIRST_PROGRAM
}

/// The first program of `core` (below [`CORES`]).
pub const fn first_program(core: u32) -> u64 {
    FIRST_PROGRAM + core as u64 % STEP
}

/// The program of the same core that starts after `program`.
pub const fn next_program(program: u64) -> u64 {
    program + STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_core_and_part() {
        for core in 0..CORES {
            for role in Role::ALL {
                let number = role.on(core);
                assert_eq!((core_of(number), Role::of(number)), (core, Some(role)));
                assert!(!is_program(number), "{number}");
            }
        }
        assert_eq!([Role::Init.on(0), Role::Spawn.on(0), Role::Mem.on(3)], [16, 80, 35]);
    }

    #[test]
    fn programs_of_all_cores_have_numbers_of_their_own() {
        let programs =
            |core| core::iter::successors(Some(first_program(core)), |&program| Some(next_program(program)));
        for core in 0..CORES {
            for (count, program) in programs(core).take(100).enumerate() {
                assert_eq!(program, FIRST_PROGRAM + 16 * count as u64 + u64::from(core));
                assert_eq!((core_of(program), Role::of(program)), (core, None));
                assert!(is_program(program));
            }
        }
    }

    #[test]
    fn nobody_is_no_part_of_the_system() {
        assert_eq!((0..16).find(|&number| Role::of(number).is_some()), None);
    }
}

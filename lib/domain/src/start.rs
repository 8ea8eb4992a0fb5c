//! The start information: what a new domain finds at [`START_BASE`](abi::layout::START_BASE).

use alloc::vec::Vec;
use core::fmt;

use abi::layout::{START_MAGIC, SpaceRecord, StartInfo};

/// Most bytes of arguments and environment, with the structure before them. The books of the address space come on top.
pub const MAX_START_BYTES: usize = 64 * 1024;

const HEAD: usize = size_of::<StartInfo>();

/// Why arguments or environment cannot be passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// They take more than [`MAX_START_BYTES`].
    TooLong {
        /// Bytes that they would take.
        bytes: usize,
    },
    /// A string holds a NUL, which would end it early.
    Nul,
    /// There is no argument: the first is the program's name.
    NoName,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::TooLong { bytes } => {
                write!(f, "arguments and environment take {bytes} bytes: expected at most {MAX_START_BYTES}")
            }
            StartError::Nul => f.write_str("an argument or environment string holds a NUL"),
            StartError::NoName => f.write_str("no argument: expected the program's name as the first"),
        }
    }
}

impl core::error::Error for StartError {}

/// Arguments and environment, laid out.
#[derive(Clone, Debug)]
pub struct StartBlock {
    strings: Vec<u8>,
    arg_count: u32,
    env_count: u32,
    env_offset: u32,
}

impl StartBlock {
    /// `arguments` begin with the program's name; the environment's strings are `NAME=value`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new<A: AsRef<str>, E: AsRef<str>>(
        arguments: &[A],
        environment: &[E],
    ) -> Result<StartBlock, StartError> {
        if arguments.is_empty() {
            return Err(StartError::NoName);
        }
        let length = |string: &str| string.len() + 1;
        let bytes = arguments.iter().map(|it| length(it.as_ref())).sum::<usize>()
            + environment.iter().map(|it| length(it.as_ref())).sum::<usize>()
            + HEAD;
        if bytes > MAX_START_BYTES {
            return Err(StartError::TooLong { bytes });
        }
        let mut strings = Vec::with_capacity(bytes - HEAD);
        for argument in arguments {
            append(&mut strings, argument.as_ref())?;
        }
        let env_offset = (HEAD + strings.len()) as u32;
        for variable in environment {
            append(&mut strings, variable.as_ref())?;
        }
        let (arg_count, env_count) = (arguments.len() as u32, environment.len() as u32);
        Ok(StartBlock { strings, arg_count, env_count, env_offset })
    }

    /// Bytes that it takes in the child, without the records behind it.
    pub fn size(&self) -> usize {
        HEAD + self.strings.len()
    }

    /// Writes it to the start of `target`, with what only the builder knows taken from `rest`, and `records` behind it,
    /// at `rest.record_offset`.
    pub(crate) fn write(&self, target: &mut [u8], rest: StartInfo, records: &[SpaceRecord]) {
        let info = StartInfo {
            magic: START_MAGIC,
            size: rest.record_offset + size_of_val(records) as u32,
            arg_count: self.arg_count,
            arg_offset: HEAD as u32,
            env_count: self.env_count,
            env_offset: self.env_offset,
            ..rest
        };
        let (head, strings) = target.split_at_mut(HEAD);
        // SAFETY: StartInfo is plain numbers without padding (asserted below), so it is its bytes.
        let bytes = unsafe { core::slice::from_raw_parts((&raw const info).cast::<u8>(), HEAD) };
        head.copy_from_slice(bytes);
        strings[..self.strings.len()].copy_from_slice(&self.strings);
        let at = rest.record_offset as usize;
        // SAFETY: as before.
        let bytes =
            unsafe { core::slice::from_raw_parts(records.as_ptr().cast::<u8>(), size_of_val(records)) };
        target[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

// One word, sixteen halves, three words, eight words: nothing between them.
const _: () = assert!(HEAD == 8 + 16 * 4 + 3 * 8 + 8 * 8);
// Two words, two halves, a half of three parts, a half.
const _: () = assert!(size_of::<SpaceRecord>() == 2 * 8 + 2 * 4 + 4 + 4);

fn append(strings: &mut Vec<u8>, string: &str) -> Result<(), StartError> {
    if string.as_bytes().contains(&0) {
        return Err(StartError::Nul);
    }
    strings.extend_from_slice(string.as_bytes());
    strings.push(0);
    Ok(())
}

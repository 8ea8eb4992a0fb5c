//! Builds ELF files by hand, so that every field can be made wrong.

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_DYNAMIC: u32 = 2;
pub(crate) const PT_INTERP: u32 = 3;
pub(crate) const PT_TLS: u32 = 7;
pub(crate) const PT_GNU_STACK: u32 = 0x6474_e551;
pub(crate) const X: u32 = 1;
pub(crate) const W: u32 = 2;
pub(crate) const R: u32 = 4;

/// A program header as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) align: u64,
}

/// An ELF file before it is put into bytes.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(crate) ident: [u8; 16],
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) version: u32,
    pub(crate) entry: u64,
    pub(crate) table_offset: u64,
    pub(crate) header_size: u16,
    /// Overrides the number of headers.
    pub(crate) header_count: Option<u16>,
    pub(crate) headers: Vec<Header>,
    /// Length of the whole file; what no header takes is filled with a pattern.
    pub(crate) length: usize,
}

/// A loadable segment whose file offset is its distance from 0x20_0000.
pub(crate) fn load(flags: u32, address: u64, file_size: u64, memory_size: u64) -> Header {
    let offset = address.wrapping_sub(0x20_0000);
    Header { kind: PT_LOAD, flags, offset, address, file_size, memory_size, align: 0x1000 }
}

/// What a linker makes of a small program: text, read-only data with a thread-local template, data with a tail.
pub(crate) fn program() -> Elf {
    let tls = Header { kind: PT_TLS, align: 16, ..load(R, 0x20_2040, 0x20, 0x50) };
    let stack = Header { kind: PT_GNU_STACK, flags: R | W, offset: 0, address: 0, ..load(0, 0, 0, 0) };
    Elf {
        ident: [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        kind: 2,
        machine: 183,
        version: 1,
        entry: 0x20_1010,
        table_offset: 64,
        header_size: 56,
        header_count: None,
        headers: vec![
            load(R | X, 0x20_1000, 0xf00, 0xf00),
            load(R, 0x20_2010, 0x123, 0x123),
            load(R | W, 0x20_3ff0, 0x10, 0x2345),
            tls,
            stack,
        ],
        length: 0x4000,
    }
}

impl Elf {
    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.ident.to_vec();
        out.extend(self.kind.to_le_bytes());
        out.extend(self.machine.to_le_bytes());
        out.extend(self.version.to_le_bytes());
        for word in [self.entry, self.table_offset, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0u32.to_le_bytes());
        let count = self.header_count.unwrap_or(self.headers.len() as u16);
        for half in [64, self.header_size, count, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        for header in &self.headers {
            out.extend(header.kind.to_le_bytes());
            out.extend(header.flags.to_le_bytes());
            let Header { offset, address, file_size, memory_size, align, .. } = *header;
            for word in [offset, address, address, file_size, memory_size, align] {
                out.extend(word.to_le_bytes());
            }
        }
        out.extend((out.len()..self.length).map(|at| (at % 251) as u8));
        out.truncate(self.length);
        out
    }
}

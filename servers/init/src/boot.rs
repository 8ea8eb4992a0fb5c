//! What the kernel left: facts, and capabilities in the boot CNode.

use core::fmt;

use abi::boot::{
    BOOT_CNODE, BOOT_INFO_BASE, BOOT_MAGIC, BootInfo, Device, DeviceKind, MAX_COMMAND_LINE, Region,
    RegionKind,
};
use abi::{CapAddr, PAGE_SIZE, Rights};
use rt::RtError;
use sys::{Cap, DevFrame, Frame, IrqSource, PhysAddr, Ram};

/// Why the machine cannot be used.
#[derive(Debug)]
pub enum BootError {
    /// The page of facts does not begin as it should.
    BadInfo,
    /// The kernel found no boot modules.
    NoModules,
    /// No serial line that `serial` could drive.
    NoConsole,
    /// The runtime or the kernel refused.
    Runtime(&'static str, RtError),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::BadInfo => f.write_str("the kernel's boot information is damaged"),
            BootError::NoModules => f.write_str("no boot modules: give the archive as initial RAM disk"),
            BootError::NoConsole => f.write_str("the device tree names no PL011 UART with an interrupt"),
            BootError::Runtime(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// The boot information, and what follows from it.
pub(crate) struct Boot {
    info: BootInfo,
    /// Next free slot of the boot CNode.
    next_slot: u64,
}

impl Boot {
    /// Reads what the kernel left.
    ///
    /// # Errors
    /// [`BootError::BadInfo`].
    pub(crate) fn read() -> Result<Boot, BootError> {
        let at: *const BootInfo = core::ptr::with_exposed_provenance(BOOT_INFO_BASE as usize);
        // SAFETY: the kernel maps a page with the boot information there for `init`, and only for it (abi::boot).
        Boot::of(unsafe { at.read() })
    }

    fn of(info: BootInfo) -> Result<Boot, BootError> {
        if info.magic != BOOT_MAGIC {
            return Err(BootError::BadInfo);
        }
        Ok(Boot { next_slot: info.first_free_slot.into(), info })
    }

    /// The facts.
    pub(crate) fn info(&self) -> &BootInfo {
        &self.info
    }

    /// The board's name.
    pub(crate) fn platform(&self) -> &str {
        let name = &self.info.platform;
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        core::str::from_utf8(&name[..length]).unwrap_or("?")
    }

    fn regions(&self, kind: RegionKind) -> impl Iterator<Item = &Region> {
        self.info.regions.iter().filter(move |region| region.kind == kind as u32)
    }

    /// The root Ram capabilities.
    pub(crate) fn roots(&self) -> impl Iterator<Item = Cap<Ram>> {
        self.regions(RegionKind::Ram).map(|region| Cap::new(boot_slot(region.slot)))
    }

    /// What the monitor of this core shares with that of the core that started this one; `None` on the first core.
    pub(crate) fn monitor_frame(&self) -> Option<Cap<Frame>> {
        self.regions(RegionKind::Monitor).next().map(|region| Cap::new(boot_slot(region.slot)))
    }

    /// The number in a word `NAME=NUMBER` of the kernel's command line.
    pub(crate) fn option(&self, name: &str) -> Option<u32> {
        let line = &self.info.command_line[..(self.info.command_line_size as usize).min(MAX_COMMAND_LINE)];
        let word = line
            .split(u8::is_ascii_whitespace)
            .find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        core::str::from_utf8(word).ok()?.parse().ok()
    }

    /// The boot modules: their frame and how many bytes of it are meaningful.
    ///
    /// # Errors
    /// [`BootError::NoModules`].
    pub(crate) fn modules(&self) -> Result<(Cap<Frame>, u64), BootError> {
        let region = self.regions(RegionKind::Modules).next().ok_or(BootError::NoModules)?;
        Ok((Cap::new(boot_slot(region.slot)), region.used.min(region.size)))
    }

    /// The boot modules, mapped for good.
    ///
    /// # Errors
    /// [`BootError`].
    pub(crate) fn map_modules(&self) -> Result<&'static [u8], BootError> {
        let (frame, bytes) = self.modules()?;
        let window = rt::vspace::map(frame, 0, bytes, Rights::READ)
            .map_err(|error| BootError::Runtime("mapping the boot modules", error))?;
        let start = window.pointer();
        core::mem::forget(window);
        // SAFETY: the window shows at least `bytes` bytes, for ever since it was forgotten; of their frame only readable
        // copies leave this domain.
        Ok(unsafe { core::slice::from_raw_parts(start, bytes as usize) })
    }

    /// The first UART that has an interrupt.
    ///
    /// # Errors
    /// [`BootError::NoConsole`].
    pub(crate) fn uart(&self) -> Result<Device, BootError> {
        let is_uart = |device: &&Device| device.kind == DeviceKind::Pl011 as u32 && device.interrupt != 0;
        self.info.devices.iter().find(is_uart).copied().ok_or(BootError::NoConsole)
    }

    fn take_slot(&mut self) -> CapAddr {
        let slot = self.next_slot;
        self.next_slot += 1;
        CapAddr::new(BOOT_CNODE, slot)
    }

    /// The page of a device's registers.
    ///
    /// # Errors
    /// [`BootError`].
    pub(crate) fn device_page(&mut self, device: &Device) -> Result<Cap<DevFrame>, BootError> {
        let base = device.base & !(PAGE_SIZE - 1);
        let holds = |region: &&Region| region.base <= base && base + PAGE_SIZE <= region.base + region.size;
        let region = self.regions(RegionKind::Devices).find(holds).copied().ok_or(BootError::NoConsole)?;
        let space = Cap::<PhysAddr>::new(boot_slot(region.slot));
        let page = self.take_slot();
        space
            .retype::<DevFrame>(base - region.base, PAGE_SIZE, 1, page)
            .map_err(|error| BootError::Runtime("the registers of a device", error.into()))?;
        Ok(Cap::new(page))
    }

    /// The interrupt of a device.
    ///
    /// # Errors
    /// [`BootError`].
    pub(crate) fn interrupt(&mut self, device: &Device) -> Result<Cap<IrqSource>, BootError> {
        let failed = |error: sys::Error| BootError::Runtime("the interrupt of a device", error.into());
        let all = Cap::<IrqSource>::new(boot_slot(self.info.irq_slot));
        let first = all.identify().map_err(failed)?.base;
        let offset = u64::from(device.interrupt).checked_sub(first).ok_or(BootError::NoConsole)?;
        let one = self.take_slot();
        all.retype::<IrqSource>(offset, 1, 1, one).map_err(failed)?;
        Ok(Cap::new(one))
    }
}

fn boot_slot(slot: u32) -> CapAddr {
    CapAddr::new(BOOT_CNODE, slot.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::boot::{MAX_DEVICES, MAX_REGIONS};

    fn info() -> BootInfo {
        let mut regions = [Region::default(); MAX_REGIONS];
        regions[0] = Region { base: 1 << 30, size: 1 << 29, kind: RegionKind::Ram as u32, slot: 5, used: 0 };
        regions[3] =
            Region { base: 1 << 20, size: 8192, kind: RegionKind::Modules as u32, slot: 6, used: 5000 };
        let mut devices = [Device::default(); MAX_DEVICES];
        devices[0] = Device { base: 0x900_0000, size: 4096, kind: DeviceKind::Pl011 as u32, interrupt: 0 };
        devices[1] = Device { base: 0x901_0000, size: 4096, kind: DeviceKind::Pl011 as u32, interrupt: 33 };
        let mut platform = [0; 16];
        platform[..4].copy_from_slice(b"virt");
        let mut command_line = [0; MAX_COMMAND_LINE];
        command_line[..5].copy_from_slice(b"quiet");
        BootInfo {
            magic: BOOT_MAGIC,
            cores: 1,
            core: 0,
            ram_bytes: 1 << 30,
            kernel_bytes: 0,
            platform,
            regions,
            devices,
            irq_slot: 3,
            first_free_slot: 9,
            command_line_size: 5,
            reserved: 0,
            command_line,
        }
    }

    #[test]
    fn what_the_kernel_left_is_found() {
        let boot = Boot::of(info()).unwrap();
        assert_eq!(boot.platform(), "virt");
        assert_eq!(boot.roots().map(Cap::address).collect::<Vec<_>>(), [CapAddr::new(BOOT_CNODE, 5)]);
        assert_eq!(boot.modules().unwrap(), (Cap::new(CapAddr::new(BOOT_CNODE, 6)), 5000));
        assert_eq!(boot.uart().unwrap().interrupt, 33, "one without interrupt is of no use");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(matches!(Boot::of(BootInfo { magic: 0, ..info() }), Err(BootError::BadInfo)));
        let boot = Boot::of(BootInfo { regions: Default::default(), devices: Default::default(), ..info() });
        let mut boot = boot.unwrap();
        assert!(matches!(boot.modules(), Err(BootError::NoModules)));
        assert!(matches!(boot.uart(), Err(BootError::NoConsole)));
        let lost = Device { base: 0x900_0000, size: 4096, kind: 1, interrupt: 33 };
        assert!(matches!(boot.device_page(&lost), Err(BootError::NoConsole)));
    }
}

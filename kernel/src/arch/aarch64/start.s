// From the loader, or from the kernel of another core, to Rust in the high half.
//
// The core that boots is entered as the arm64 boot protocol says (Linux Documentation/arm64/booting.rst): MMU off, x0 =
// physical address of the device tree, EL2 or EL1, image at any 2 MiB boundary. Its boot pages follow the image.
// Any other core is entered at `start_core` by PSCI, with the physical address of its own boot pages in x0. Until the MMU is
// on, only PC-relative addresses are used.
//
//   x20 device tree, 0 on other cores   x21 image   x22 first table   x24 boot pages (all physical)

.section .head, "ax"
.global _head
_head:
        b       start
        .long   0
        .quad   0                       // text_offset: right at a 2 MiB boundary
        .quad   __image_size
        .quad   0xa                     // little-endian, 4 KiB pages, anywhere in RAM
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

.global start_core
start_core:
        mov     x24, x0
        mov     x20, xzr
        b       any_core

start:
        mov     x20, x0
        adrp    x24, __boot_start
any_core:
        adrp    x21, _head
        mrs     x0, CurrentEL
        cmp     x0, #(2 << 2)
        b.ne    at_el1

        // EL2: let EL1 use everything it needs, then go there.
        mov     x0, #(1 << 31)          // HCR_EL2.RW: EL1 is AArch64
        orr     x0, x0, #(3 << 40)      // APK, API: no traps of pointer authentication
        msr     hcr_el2, x0
        isb
        mov     x0, #3                  // EL1 may use the physical counter and timer
        msr     cnthctl_el2, x0
        msr     cntvoff_el2, xzr
        mov     x0, #0x33ff             // no traps of FP
        msr     cptr_el2, x0
        msr     hstr_el2, xzr
        mrs     x0, midr_el1
        msr     vpidr_el2, x0
        mrs     x0, mpidr_el1
        msr     vmpidr_el2, x0
        mrs     x1, id_aa64dfr0_el1     // with a PMUv3: all counters belong to EL1
        ubfx    x1, x1, #8, #4
        cbz     x1, 1f
        cmp     x1, #15
        b.eq    1f
        mrs     x0, pmcr_el0
        ubfx    x0, x0, #11, #5
        msr     mdcr_el2, x0
1:      mrs     x0, id_aa64pfr0_el1     // GIC system registers: EL1 may use them
        ubfx    x0, x0, #24, #4
        cbz     x0, 2f
        mrs     x0, icc_sre_el2
        orr     x0, x0, #1
        orr     x0, x0, #8
        msr     icc_sre_el2, x0
        isb
        msr     ich_hcr_el2, xzr
2:      ldr     x0, =0x30d00800         // SCTLR_EL1: RES1 bits only, MMU and caches off
        msr     sctlr_el1, x0
        adr     x0, at_el1
        msr     elr_el2, x0
        mov     x0, #0x3c5              // EL1h, everything masked
        msr     spsr_el2, x0
        eret

at_el1:
        msr     daifset, #15
        // What lies in the boot pages, on this core: x24 plus its distance from where the image has it.
        adrp    x25, __boot_start
        sub     x25, x24, x25
        adrp    x22, __tables
        add     x22, x22, x25
        bl      forget_tables

        // Empty tables: root, level 1 to 3 of the kernel's window, and three for the identity map at the end,
        // where later tables overwrite them.
        mov     x0, x22
        add     x1, x22, #(4 * 4096)
        bl      clear
        adrp    x23, __tables_end
        add     x23, x23, x25
        sub     x23, x23, #(3 * 4096)
        mov     x0, x23
        add     x1, x23, #(3 * 4096)
        bl      clear

        // Kernel window: root[511] -> level 1 [510] -> level 2 [0] -> level 3.
        add     x0, x22, #4096
        orr     x1, x0, #3
        str     x1, [x22, #(511 * 8)]
        add     x2, x22, #(2 * 4096)
        orr     x1, x2, #3
        str     x1, [x0, #(510 * 8)]
        add     x3, x22, #(3 * 4096)
        orr     x1, x3, #3
        str     x1, [x2]
        mov     x4, x3
        mov     x0, x21
        adrp    x1, __text_end
        ldr     x2, ={TEXT}
        bl      map_pages
        adrp    x1, __boot_start
        ldr     x2, ={CONSTANT}
        bl      map_pages
        mov     x0, x24
        adrp    x1, __boot_end
        add     x1, x1, x25
        ldr     x2, ={DATA}
        bl      map_pages
        adrp    x0, __emergency_guard   // and take the guard pages out again
        sub     x0, x0, x21
        lsr     x0, x0, #9              // 8 bytes a page
        str     xzr, [x3, x0]
        adrp    x0, __stack_guard
        sub     x0, x0, x21
        lsr     x0, x0, #9              // 8 bytes a page
        str     xzr, [x3, x0]

        // Identity map of the image's 2 MiB block, for the instructions around the switch.
        ubfx    x0, x21, #39, #9
        add     x1, x23, #4096
        orr     x2, x1, #3
        str     x2, [x23, x0, lsl #3]
        ubfx    x0, x21, #30, #9
        add     x3, x1, #4096
        orr     x2, x3, #3
        str     x2, [x1, x0, lsl #3]
        ubfx    x0, x21, #21, #9
        ldr     x2, ={TEXT}
        orr     x2, x2, x21
        str     x2, [x3, x0, lsl #3]
        bl      forget_tables

        // MMU on.
        ldr     x0, ={MAIR}
        msr     mair_el1, x0
        ldr     x0, ={TCR}
        mrs     x1, id_aa64mmfr0_el1
        and     x2, x1, #15             // physical address size, at most 48 bits
        cmp     x2, #5
        mov     x3, #5
        csel    x2, x2, x3, lo
        bfi     x0, x2, #32, #3
        ubfx    x1, x1, #4, #4          // ASIDBits = 2: ASIDs have 16 bits
        cmp     x1, #2
        cset    x1, eq
        bfi     x0, x1, #36, #1
        msr     tcr_el1, x0
        msr     ttbr0_el1, x23
        msr     ttbr1_el1, x22
        dsb     sy
        tlbi    vmalle1
        ic      iallu
        dsb     nsh
        isb
        ldr     x0, ={SCTLR}
        msr     sctlr_el1, x0
        isb
        ldr     x0, =high
        br      x0

high:
        adrp    x0, __stack_top
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        adrp    x0, __core_record
        str     xzr, [x0]               // no record yet
        msr     tpidr_el1, xzr          // no Core yet
        msr     tpidrro_el0, xzr        // not panicking
        mov     x29, xzr
        mov     x30, xzr
        mov     x1, x21
        mov     x2, x24
        cbz     x20, 1f
        mov     x0, x20
        b       boot_in_high_half
1:      mov     x0, x24
        b       join_in_high_half

// Zeroes [x0, x1), whole cache lines.
clear:
        stp     xzr, xzr, [x0], #16
        cmp     x0, x1
        b.lo    clear
        ret

// Maps the pages from x0 up to x1 with attributes x2 in the table's entries from x4 on; leaves both after the last.
map_pages:
        orr     x5, x0, x2
        orr     x5, x5, #2
        str     x5, [x4], #8
        add     x0, x0, #4096
        cmp     x0, x1
        b.lo    map_pages
        ret

// Drops cache lines over the tables: what was written with the caches off is in memory, and must not be hidden or
// overwritten by what a loader left in the caches.
forget_tables:
        dmb     sy
        mrs     x0, ctr_el0
        ubfx    x0, x0, #16, #4
        mov     x1, #4
        lsl     x1, x1, x0
        mov     x0, x22
        adrp    x2, __tables_end
        add     x2, x2, x25
3:      dc      ivac, x0
        add     x0, x0, x1
        cmp     x0, x2
        b.lo    3b
        dsb     sy
        ret

.ltorg

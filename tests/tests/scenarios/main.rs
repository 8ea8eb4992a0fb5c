//! The scenarios, numbered by the layer that they need.
//!
//! They rely on what a user is promised (README, `help`), and on programs of the image that exist for tests:
//! `bytes N` (reads N bytes, prints count and hash), `lines WORD COUNT [WORD COUNT]` (prints `WORD NUMBER WORD`
//! lines, each in several writes; the second pair is printed at the same time by a domain of its own, for which
//! the first waits), `crash` (reads address 0), `fault KIND`, `flood`, `badcalls SEED`, `spin`, `bigbss`, `hog`, `rogue`,
//! `test_memory WHAT`, `test_threads N`, `test_sync`, `test_channels WHAT` (see each).

mod s00_boot;
mod s01_console;
mod s02_shell;
mod s03_commands;
mod s04_programs;
mod s05_bad_programs;
mod s06_memory;
mod s07_xtask_run;
mod s08_channels;
mod s08_cores;
mod s08_rogue;
mod s08_threads;
mod s09_oncore;
mod s09_soak;

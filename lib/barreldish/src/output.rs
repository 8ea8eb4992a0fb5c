//! `print!` and its kin. A line goes out when it is whole.

use core::fmt::{self, Write};

/// The program's output.
struct Output;

impl Write for Output {
    #[cfg(target_os = "none")]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        rt::console::write(text.as_bytes());
        Ok(())
    }
    #[cfg(not(target_os = "none"))]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        std::print!("{text}");
        Ok(())
    }
}

/// What [`print!`](crate::print!) does with what it was given.
pub fn print_args(arguments: fmt::Arguments<'_>) {
    // Output itself takes everything; a `Display` that fails has said what it could.
    let _ = Output.write_fmt(arguments);
}

/// What [`eprint!`](crate::eprint!) does: as [`print_args`], and nothing is kept back.
pub fn eprint_args(arguments: fmt::Arguments<'_>) {
    print_args(arguments);
    flush();
}

/// Sends the part of a line that was printed: a prompt, say.
pub fn flush() {
    #[cfg(target_os = "none")]
    rt::console::flush();
}

/// Prints. The output appears when its line ends, or with [`flush`].
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print_args(::core::format_args!($($argument)*)) };
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {{
        $crate::print_args(::core::format_args!($($argument)*));
        $crate::print!("\n")
    }};
}

/// Prints at once: for errors and questions. There is one terminal, so it goes where all output goes.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => { $crate::eprint_args(::core::format_args!($($argument)*)) };
}

/// Prints a line, as [`eprint!`].
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($argument:tt)*) => {{
        $crate::print_args(::core::format_args!($($argument)*));
        $crate::eprint!("\n")
    }};
}

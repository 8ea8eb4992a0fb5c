//! The shape that the errors of all interfaces share.

/// An error enum that travels, says what was wrong, and takes in the failures of the call itself.
macro_rules! errors {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, ipc::Wire)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// The call itself failed.
            Call(ipc::CallError),
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)*
                    $name::Call(error) => core::fmt::Display::fmt(error, f),
                }
            }
        }

        impl core::error::Error for $name {}

        impl From<ipc::CallError> for $name {
            fn from(error: ipc::CallError) -> $name {
                $name::Call(error)
            }
        }
    };
}

pub(crate) use errors;

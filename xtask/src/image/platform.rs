//! The platforms of images, under the names that Debian, OCI, and Rust give them.

use std::fmt;

use clap::ValueEnum;

/// A platform on which an image runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Platform {
    /// 64-bit x86.
    #[value(name = "linux/amd64")]
    Amd64,
    /// 64-bit Arm.
    #[value(name = "linux/arm64")]
    Arm64,
}

impl Platform {
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Returns the architecture as Debian and OCI name it.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    pub(crate) fn of_architecture(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.architecture() == name)
    }

    /// Returns the folder of libraries below `usr/lib`.
    pub(crate) fn library_folder(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// Returns the target of the Rust compiler.
    pub(crate) fn rust_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Returns the C compiler that builds for this platform on another one.
    pub(crate) fn cross_compiler(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu-gcc",
            Self::Arm64 => "aarch64-linux-gnu-gcc",
        }
    }

    /// Returns whether this machine runs programs of the platform.
    pub(crate) fn is_of_this_machine(self) -> bool {
        let architecture = match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        };
        std::env::consts::OS == "linux" && std::env::consts::ARCH == architecture
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())
    }
}

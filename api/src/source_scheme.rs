//! The schemes of a source. `spec.source` and the command line accept the same ones, so they are declared once, here: the
//! grammar in `rototo-source` is a match on [`SourceScheme`], and the rule of the CRD is made from it.
//!
//! ```
//! use rototo_api::source_scheme::SourceScheme;
//!
//! assert_eq!(SourceScheme::from_name("git+https"), Some(SourceScheme::GitHttps));
//! assert_eq!(SourceScheme::from_name("ftp"), None);
//! assert!(SourceScheme::GitHttps.has_files() && !SourceScheme::Kubernetes.has_files());
//! ```

macro_rules! schemes {
    ($($(#[$doc:meta])* $scheme:ident = $name:literal;)*) => {
        /// A scheme of a source: what stands before `://`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SourceScheme {
            $($(#[$doc])* $scheme,)*
        }

        impl SourceScheme {
            /// Every scheme, in the order in which messages list them.
            pub const ALL: &[Self] = &[$(Self::$scheme),*];

            /// Returns the text before `://`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$scheme => $name,)*
                }
            }
        }
    };
}

schemes! {
    /// A git repository over HTTPS.
    GitHttps = "git+https";
    /// A git repository over ssh.
    GitSsh = "git+ssh";
    /// An archive.
    Https = "https";
    /// A directory of this machine.
    File = "file";
    /// A git repository on this machine.
    GitFile = "git+file";
    /// The content that an operator has published. A process follows it, and nobody reads files from it.
    Kubernetes = "kubernetes";
}

/// Schemes that people write, and that are refused because nothing encrypts or authenticates what they bring.
pub const UNENCRYPTED: [&str; 3] = ["http", "git+http", "git"];

impl SourceScheme {
    /// Returns the scheme with this name, in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// Returns whether a source of this scheme has files, so that `spec.source` may name it.
    #[must_use]
    pub fn has_files(self) -> bool {
        self != Self::Kubernetes
    }
}

//! Replaces this module in a build without the feature `archives`, in which a reader connects to any address.

use crate::error::EgressFault;
use crate::hosts::Proxy;
use crate::spec::RemoteUrl;

/// The addresses that a reader connects to. A build with the feature `archives` can refuse some.
#[derive(Clone, Debug, Default)]
pub enum Egress {
    /// Any address, as for a person's own program.
    #[default]
    Anything,
}

impl Egress {
    /// Returns whether some addresses are refused.
    #[expect(clippy::unused_self, reason = "the same signature in every build")]
    pub(crate) fn restricts(&self) -> bool {
        false
    }
}

/// The way that git finds by itself.
#[derive(Default)]
pub(crate) struct GitWay {}

impl GitWay {
    #[expect(clippy::unused_async, reason = "the same signature in every build")]
    pub(crate) async fn open(_: &Egress, _: Option<&Proxy>, _: &RemoteUrl) -> Result<Self, EgressFault> {
        Ok(Self {})
    }

    pub(crate) fn settings(&self) -> impl Iterator<Item = (String, String)> {
        std::iter::empty()
    }

    pub(crate) fn ssh_options(&self) -> &'static str {
        ""
    }

    pub(crate) fn ssh_host(&self) -> Option<(&str, u16)> {
        None
    }

    pub(crate) fn removed_variables(&self) -> &'static [&'static str] {
        &[]
    }

    pub(crate) fn fault(&self) -> Option<EgressFault> {
        None
    }
}

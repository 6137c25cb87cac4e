//! Settings of the process that override the address in the marker map.

use std::path::PathBuf;

use rototo_connection::{Address, Trust};

/// The operator's address and certificates, where the process pins them.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointOverrides {
    pub(crate) url: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

impl EndpointOverrides {
    /// Returns the address to use, where the marker map has `published`; `None` if neither names one.
    pub(crate) fn apply(&self, published: Option<&Address>) -> Option<Address> {
        let url = self.url.clone().or_else(|| published.map(|address| address.url.clone()))?;
        let ca = match &self.ca_file {
            Some(file) => Trust::File(file.clone()),
            None => published.map_or(Trust::System, |address| address.ca.clone()),
        };
        Some(Address { url, ca })
    }
}

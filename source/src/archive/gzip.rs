//! Reads a file of gzip, which has one member or more.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The content of all members of a file. Zeros behind the last one are no part of it, as for gzip itself: programs that
/// write whole blocks fill the last one. Anything else there is an error.
pub(super) struct Members<R> {
    /// `None` behind the last member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(file: R) -> Self {
        Self { member: Some(GzDecoder::new(file)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = self.member.as_mut().filter(|_| !buffer.is_empty()) {
            let read = member.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.member = self.member.take().map(|member| next(member.into_inner())).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// Returns the member that begins here; `None` at the end of the file.
fn next<R: BufRead>(mut file: R) -> io::Result<Option<GzDecoder<R>>> {
    match file.fill_buf()?.first() {
        None => return Ok(None),
        Some(0) => {}
        Some(_) => return Ok(Some(GzDecoder::new(file))),
    }
    loop {
        let rest = file.fill_buf()?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it goes on behind the zeros at its end"));
        }
        let length = rest.len();
        if length == 0 {
            return Ok(None);
        }
        file.consume(length);
    }
}

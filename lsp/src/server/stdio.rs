//! Messages over standard input and output. A message that can't be read is left out, and the next one is read: the
//! library's own reader would end the connection.

use std::io;
use std::thread::{Builder, JoinHandle};

use lsp_server::{Connection, Message};

/// Connects to the client. The writer ends when all that was sent is written.
pub(super) fn connect() -> io::Result<(Connection, JoinHandle<io::Result<()>>)> {
    let (server, Connection { sender, receiver }) = Connection::memory();
    // It may wait for a client that never closes its end, and ends with the process.
    Builder::new().name("reader".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            match Message::read(&mut input) {
                Ok(Some(message)) => {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) | Err(_) => return,
            }
        }
    })?;
    let writer = Builder::new().name("writer".to_owned()).spawn(move || {
        let mut output = io::stdout().lock();
        receiver.into_iter().try_for_each(|message| message.write(&mut output))
    })?;
    Ok((server, writer))
}

//! A TCP proxy between a client and a server that imitates the faults of networks.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

/// A TCP proxy on loopback. It passes bytes on without reading them, so TLS works through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<SharedState>,
}

/// The state that all connections share.
#[derive(Debug)]
struct SharedState {
    target: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: ProxyMode,
    /// Both ends of every connection so far, to cut them.
    ends: Vec<TcpStream>,
    /// The number of connections so far, which is also the number of the last connection.
    asked: usize,
    /// Connections with a smaller number than this pass nothing on.
    stranded: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ProxyMode {
    Clear,
    /// Connections stay open, and no byte passes.
    Frozen,
    /// Every piece passes after this delay.
    Slow(Duration),
    /// All connections are closed, and new ones are refused.
    Cut,
}

impl Proxy {
    /// Starts a proxy to `target`, a `host:port`.
    pub fn to(target: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a proxy")?;
        let address = listener.local_addr().context("read the address of the proxy")?;
        let state = State { mode: ProxyMode::Clear, ends: Vec::new(), asked: 0, stranded: 0 };
        let line =
            Arc::new(SharedState { target: target.to_owned(), state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&line);
        // The thread ends with the process: a listener can't be woken, and costs nothing while it waits.
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { address, line })
    }

    /// Returns the address at which the proxy listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Closes all connections, and refuses new ones.
    pub fn cut(&self) {
        let mut state = self.line.state();
        for end in state.ends.drain(..) {
            // A connection that has ended can't be shut down again.
            let _ = end.shutdown(Shutdown::Both);
        }
        self.line.turn(state, ProxyMode::Cut);
    }

    /// Passes nothing on, and closes nothing: both sides believe that they are connected.
    pub fn freeze(&self) {
        self.line.turn(self.line.state(), ProxyMode::Frozen);
    }

    /// Passes nothing on over the present connections, and closes none of them. New connections work. A load balancer
    /// behaves like this that has forgotten its connections.
    pub fn strand(&self) {
        let mut state = self.line.state();
        state.stranded = state.asked + 1;
    }

    /// Passes each piece on after the delay `by`.
    pub fn slow(&self, by: Duration) {
        self.line.turn(self.line.state(), ProxyMode::Slow(by));
    }

    /// Passes everything on again, beginning with the bytes that have waited.
    pub fn clear(&self) {
        let mut state = self.line.state();
        state.stranded = 0;
        self.line.turn(state, ProxyMode::Clear);
    }

    /// Returns the number of connections since the start.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.line.state().asked
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

impl SharedState {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            let line = Arc::clone(&self);
            thread::spawn(move || {
                // A connection to the target that fails is closed: the client would notice nothing else anyway.
                let _ = line.connect(client);
            });
        }
    }

    fn connect(self: Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let number = {
            let mut state = self.state();
            state.asked += 1;
            state.asked
        };
        if self.wait_while_frozen(number) == ProxyMode::Cut {
            return Ok(());
        }
        let server = TcpStream::connect(&self.target)?;
        self.state().ends.extend([client.try_clone()?, server.try_clone()?]);
        let (from, to) = (server.try_clone()?, client.try_clone()?);
        let line = Arc::clone(&self);
        thread::spawn(move || line.pass(number, from, to));
        self.pass(number, client, server);
        Ok(())
    }

    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let passed = bytes.get(..count).unwrap_or_default();
            match self.wait_while_frozen(number) {
                ProxyMode::Cut => break,
                ProxyMode::Slow(by) => thread::sleep(by),
                ProxyMode::Clear | ProxyMode::Frozen => {}
            }
            if to.write_all(passed).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn wait_while_frozen(&self, number: usize) -> ProxyMode {
        let frozen = |state: &mut State| {
            state.mode == ProxyMode::Frozen || state.mode == ProxyMode::Clear && number < state.stranded
        };
        self.changed.wait_while(self.state(), frozen).unwrap_or_else(PoisonError::into_inner).mode
    }

    fn turn(&self, mut state: MutexGuard<'_, State>, mode: ProxyMode) {
        state.mode = mode;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a client that is connected through a proxy to a server which echoes everything.
    fn echo() -> (Proxy, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(&server.local_addr().unwrap().to_string()).unwrap();
        thread::spawn(move || {
            let mut connection = server.accept().unwrap().0;
            std::io::copy(&mut connection.try_clone().unwrap(), &mut connection)
        });
        let client = TcpStream::connect(proxy.address()).unwrap();
        (proxy, client)
    }

    fn exchange(client: &mut TcpStream, text: &str) -> String {
        client.write_all(text.as_bytes()).unwrap();
        receive(client, text.len())
    }

    fn receive(client: &mut TcpStream, length: usize) -> String {
        let mut answer = vec![0; length];
        client.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn bytes_that_were_sent_into_a_frozen_connection_arrive_when_it_thaws() {
        let (proxy, mut client) = echo();
        assert_eq!(exchange(&mut client, "one"), "one");
        proxy.freeze();
        client.write_all(b"two").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(client.read(&mut [0]).is_err());
        client.set_read_timeout(None).unwrap();
        proxy.clear();
        assert_eq!(receive(&mut client, 3), "two");
    }

    #[test]
    fn a_cut_connection_ends_for_its_client() {
        let (proxy, mut client) = echo();
        assert_eq!(exchange(&mut client, "one"), "one");
        proxy.cut();
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        let mut refused = TcpStream::connect(proxy.address()).unwrap();
        assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(proxy.connections(), 2);
    }
}

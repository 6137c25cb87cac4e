//! An HTTP proxy that accepts CONNECT from `user` with the password `hunter2`, and records the requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || tunnel(connection, &seen));
            }
        });
        Self { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://user:hunter2@127.0.0.1:{}", self.port)
    }

    /// The headers of all requests.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(client: TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let known = head.contains("Proxy-Authorization: Basic dXNlcjpodW50ZXIy");
    seen.lock().unwrap().push(head);
    let mut client = client;
    if !known {
        let answer = b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: \
            0\r\nConnection: close\r\n\r\n";
        return client.write_all(answer).ok();
    }
    let server = TcpStream::connect(target).ok()?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    let (mut up, mut answer) = (server.try_clone().ok()?, server);
    std::thread::spawn(move || {
        std::io::copy(&mut reader, &mut up).and_then(|_| up.shutdown(std::net::Shutdown::Write))
    });
    std::io::copy(&mut answer, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

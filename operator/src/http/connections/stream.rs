//! A connection that ends with an error when its deadline has passed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::connections::ConnectionLimits;
use crate::http::connections::activity::Activity;
use crate::http::connections::open::ConnectionPlace;

/// A connection with a deadline.
pub(super) struct GuardedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
    limits: Arc<ConnectionLimits>,
    timer: Pin<Box<Sleep>>,
    /// Notes the limit for which the connection is closed, once.
    closed: Option<Box<dyn FnOnce(&'static str) + Send>>,
    _place: ConnectionPlace,
}

impl GuardedStream {
    pub(super) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        limits: Arc<ConnectionLimits>,
        place: ConnectionPlace,
        closed: impl FnOnce(&'static str) + Send + 'static,
    ) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { stream, activity, limits, timer, closed: Some(Box::new(closed)), _place: place }
    }

    /// Returns an error if the deadline has passed, and otherwise wakes the task when it does.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.activity.closed.register(context.waker());
        loop {
            let now = Instant::now();
            let Some((deadline, reason)) = self.activity.deadline(&self.limits, now) else { return Poll::Pending };
            if deadline <= now {
                if let Some(closed) = self.closed.take() {
                    closed(reason.name());
                }
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn or_closed<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => self.poll_deadline(context).map(Err),
            ready => ready,
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            this.activity.received(Instant::now());
        }
        this.or_closed(polled, context)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.or_closed(polled, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.or_closed(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        this.or_closed(polled, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        this.or_closed(polled, context)
    }
}

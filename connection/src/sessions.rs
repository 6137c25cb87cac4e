//! Renews the credentials of requests: before they end, when their files are replaced, and after the API server has refused
//! them.
//!
//! A [`Session`] is what requests are sent with: a header, and connections that present a certificate. A certificate that
//! has changed takes connections of its own, because the API server checks the one of the connection at each request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use kube::client::{AuthError, Body};
use tokio::time::{Instant, timeout};
use tower::BoxError;
use tower::util::BoxCloneSyncService;

use crate::api_error::api_error;
use crate::credentials::{Credentials, Identity, KUBECTL_LOGIN_ENDED, Source};
use crate::plugin::REQUEST_WAITS;

/// The time for which a request waits for files, which may be on a disk that hangs.
const FILES_WAIT: Duration = Duration::from_secs(5);
/// A program makes credentials again this long before they end.
const BEFORE_END: SignedDuration = SignedDuration::from_secs(60);

/// Sends requests over connections that present one certificate.
pub(crate) type Http = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;
/// Makes such connections, with a certificate or the one of the configuration.
pub(crate) type Connect = Box<dyn Fn(Option<&Identity>) -> Result<Http, kube::Error> + Send + Sync>;

/// The times between attempts at credentials.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// The time after which files are read again. Whoever replaces them keeps what was in them valid for longer.
    pub(crate) read_every: Duration,
    /// The shortest time between two attempts, once there were credentials. A clock that is wrong, or a server that refuses
    /// whatever it is sent, makes a program run no more often.
    pub(crate) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { read_every: Duration::from_secs(50), pause: Duration::from_secs(5) }
    }
}

/// What requests are sent with. Each attempt that succeeds makes one.
pub(crate) struct Session {
    pub(crate) credentials: Credentials,
    pub(crate) http: Http,
}

/// The session of a client, which is renewed.
pub(crate) struct Sessions {
    source: Source,
    connect: Connect,
    /// The connections that were prepared first.
    first: Http,
    pace: Pace,
    state: Mutex<State>,
    /// Locked while credentials are read or made.
    renewing: tokio::sync::Mutex<()>,
}

struct State {
    session: Option<Arc<Session>>,
    /// True if the API server has refused the session.
    is_refused: bool,
    /// The number of attempts that have ended.
    attempts: u64,
    /// The time at which the last attempt began, or this was made.
    began: Instant,
    /// Why the last attempt brought no credentials, if it did not.
    failure: Option<String>,
}

/// What a request does about the session.
enum Need {
    /// It takes this one.
    Nothing(Arc<Session>),
    /// It takes this one, and begins to renew it.
    RenewBeside(Arc<Session>),
    /// It waits for another.
    Renew,
    /// It fails like the last attempt.
    Fail(String),
}

impl Sessions {
    /// Prepares the connections. Only a program for credentials is not run before the first request.
    ///
    /// # Errors
    ///
    /// The certificates of the configuration can't be used.
    pub(crate) fn new(source: Source, connect: Connect, pace: Pace) -> Result<Self, kube::Error> {
        let credentials = match &source {
            Source::Fixed(credentials) | Source::Files(_, credentials) | Source::KubectlLogin(credentials) => {
                Some(credentials.clone())
            }
            Source::Program(_) => None,
        };
        let identity = credentials.as_ref().and_then(|credentials| credentials.identity.clone());
        let http = connect(identity.as_deref())?;
        let session = credentials.map(|credentials| Arc::new(Session { credentials, http: http.clone() }));
        let state = State { session, is_refused: false, attempts: 0, began: Instant::now(), failure: None };
        let renewing = tokio::sync::Mutex::default();
        Ok(Self { source, connect, first: http, pace, state: Mutex::new(state), renewing })
    }

    /// Returns the session for a request, whose credentials are renewed first where that is due.
    ///
    /// # Errors
    ///
    /// There are no credentials, for this reason.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<Session>, AuthError> {
        let (seen, need) = self.need();
        match need {
            Need::Nothing(session) => Ok(session),
            Need::RenewBeside(session) => {
                // It ends at the time limit of the program, and nobody waits for it.
                drop(tokio::spawn(Arc::clone(self).renew(seen)));
                Ok(session)
            }
            Need::Renew => self.renewed(seen).await,
            Need::Fail(failure) => Err(AuthError::AuthExec(failure)),
        }
    }

    /// Makes the first credentials, and takes the time that their program needs: somebody may have to sign in.
    ///
    /// # Errors
    ///
    /// There are no credentials, for this reason.
    pub(crate) async fn begin(self: &Arc<Self>) -> Result<(), AuthError> {
        if let (seen, Need::Renew) = self.need() {
            self.clone().renew(seen).await.map_err(AuthError::AuthExec)?;
        }
        Ok(())
    }

    /// Records that the API server has refused this session. Returns another one, if there is one now.
    ///
    /// # Errors
    ///
    /// There are no other credentials, for this reason.
    pub(crate) async fn refused(self: &Arc<Self>, session: &Arc<Session>) -> Result<Option<Arc<Session>>, AuthError> {
        match self.source {
            Source::Fixed(_) => return Ok(None),
            Source::KubectlLogin(_) => return Err(AuthError::AuthExec(KUBECTL_LOGIN_ENDED.to_owned())),
            Source::Files(..) | Source::Program(_) => {}
        }
        {
            let mut state = self.state();
            if state.session.as_ref().is_some_and(|known| Arc::ptr_eq(known, session)) {
                state.is_refused = true;
            }
        }
        let current = self.current().await?;
        let is_other = current.credentials.header != session.credentials.header
            || current.credentials.identity != session.credentials.identity;
        Ok(is_other.then_some(current))
    }

    /// Returns what a request needs now, and the number of attempts that it has seen.
    fn need(&self) -> (u64, Need) {
        let state = self.state();
        let need = match &state.session {
            None => Need::Renew,
            Some(session) => self.need_beside(session, &state),
        };
        (state.attempts, need)
    }

    fn need_beside(&self, session: &Arc<Session>, state: &State) -> Need {
        let since = state.began.elapsed();
        let may_try = since >= self.pace.pause;
        // One attempt is enough, also on a disk that hangs.
        let is_renewing = self.renewing.try_lock().is_err();
        let same = || Need::Nothing(session.clone());
        match &self.source {
            Source::Fixed(_) | Source::KubectlLogin(_) => same(),
            Source::Files(..) if state.is_refused && may_try => Need::Renew,
            Source::Files(..) if since >= self.pace.read_every && !is_renewing => Need::Renew,
            Source::Files(..) => same(),
            Source::Program(_) if state.is_refused || session.ends_within(SignedDuration::ZERO) => {
                match &state.failure {
                    _ if may_try => Need::Renew,
                    Some(failure) => Need::Fail(failure.clone()),
                    None => same(),
                }
            }
            Source::Program(_) if may_try && !is_renewing && session.ends_within(BEFORE_END) => {
                Need::RenewBeside(session.clone())
            }
            Source::Program(_) => same(),
        }
    }

    /// Renews the credentials beside the request, which may be cancelled, and waits for them for a while.
    async fn renewed(self: &Arc<Self>, seen: u64) -> Result<Arc<Session>, AuthError> {
        let renewing = tokio::spawn(Arc::clone(self).renew(seen));
        let limit = match &self.source {
            Source::Program(_) => REQUEST_WAITS,
            Source::Files(..) | Source::Fixed(_) | Source::KubectlLogin(_) => FILES_WAIT,
        };
        let renewed = match (timeout(limit, renewing).await, &self.source) {
            (Ok(renewed), _) => renewed.unwrap_or_else(|_| Err("making credentials was interrupted".to_owned())),
            (Err(_), Source::Program(program)) => Err(program.too_slow(limit)),
            // What was in the files before may still be accepted.
            (Err(_), _) => self.state().outcome(),
        };
        renewed.map_err(AuthError::AuthExec)
    }

    /// Makes the credentials again, unless an attempt has ended that the caller has not seen: then its outcome counts.
    async fn renew(self: Arc<Self>, seen: u64) -> Result<Arc<Session>, String> {
        let _alone = self.renewing.lock().await;
        let before = {
            let mut state = self.state();
            if state.attempts > seen {
                return state.outcome();
            }
            state.began = Instant::now();
            state.session.clone()
        };
        let made = self.made(before.as_deref()).await;
        let mut state = self.state();
        state.take(made);
        state.outcome()
    }

    /// Reads or makes credentials, and the connections for them.
    async fn made(&self, before: Option<&Session>) -> Result<Session, String> {
        let credentials = match (&self.source, before) {
            (Source::Program(program), _) => program.run().await?,
            (Source::Files(files, first), before) => {
                files.read(before.map_or(first, |session| &session.credentials)).await
            }
            (Source::Fixed(credentials) | Source::KubectlLogin(credentials), _) => credentials.clone(),
        };
        // Without a session, a program makes the first credentials, and the first connections have no certificate of it.
        let (identity, http) =
            before.map_or((&None, &self.first), |before| (&before.credentials.identity, &before.http));
        let http = if *identity == credentials.identity {
            http.clone()
        } else {
            (self.connect)(credentials.identity.as_deref())
                .map_err(|error| format!("the certificate of the user can't be used: {}", api_error(&error)))?
        };
        Ok(Session { credentials, http })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Returns whether the credentials end within this time.
    fn ends_within(&self, time: SignedDuration) -> bool {
        self.credentials.ends.is_some_and(|ends| ends.duration_since(Timestamp::now()) <= time)
    }
}

impl State {
    /// Takes the outcome of an attempt. What was there before stays, and counts if it may still be accepted.
    fn take(&mut self, made: Result<Session, String>) {
        self.attempts += 1;
        let is_over = |session: &Arc<Session>| self.is_refused || session.ends_within(SignedDuration::ZERO);
        match made {
            Ok(session) => {
                self.session = Some(Arc::new(session));
                (self.is_refused, self.failure) = (false, None);
            }
            Err(failure) => self.failure = Some(failure).filter(|_| self.session.as_ref().is_none_or(is_over)),
        }
    }

    fn outcome(&self) -> Result<Arc<Session>, String> {
        match (&self.failure, &self.session) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(session)) => Ok(session.clone()),
            (None, None) => Err("the user has no credentials".to_owned()),
        }
    }
}

//! Adds the token of a file to each request. The kube crate takes the file as it is, and most files end in a newline, which
//! no header may have.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use kube::client::AuthError;
use kube::config::AuthInfo;
use tokio::time::Instant;
use tower::{BoxError, Service};

/// The time after which the file is read again. Whoever replaces it keeps the old token valid for longer.
const READ_EVERY: Duration = Duration::from_secs(50);

/// The token of a file, which is read again from time to time.
#[derive(Clone)]
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Arc<Mutex<(HeaderValue, Instant)>>,
}

impl TokenFile {
    /// Takes the token file out of `user`, unless a login or a provider comes before it. As for kubectl, the file comes
    /// before the user's own token, which is used until the file can be read, and before a program for credentials.
    ///
    /// # Errors
    ///
    /// The file can't be read, or holds no token, and the user has no other.
    pub(crate) fn take_from(user: &mut AuthInfo) -> Result<Option<Self>, kube::Error> {
        // These come before the file.
        let has_login = user.username.is_some() && user.password.is_some();
        if has_login || user.auth_provider.is_some() {
            return Ok(None);
        }
        let Some(path) = user.token_file.take().map(PathBuf::from) else { return Ok(None) };
        let header = read(&path).or_else(|error| own_token(user).ok_or(error)).map_err(kube::Error::Auth)?;
        // The kube crate would use these.
        user.token = None;
        user.exec = None;
        Ok(Some(Self { path, last: Arc::new(Mutex::new((header, Instant::now()))) }))
    }

    /// Returns the header with the token. While the file can't be read, the last token stays.
    fn header(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.elapsed() >= READ_EVERY {
            let header = read(&self.path).unwrap_or_else(|_| last.0.clone());
            *last = (header, Instant::now());
        }
        last.0.clone()
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, AuthError> {
    let text = std::fs::read_to_string(path).map_err(|error| AuthError::ReadTokenFile(error, path.clone()))?;
    let token = text.trim();
    if token.is_empty() {
        let empty = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is empty");
        return Err(AuthError::ReadTokenFile(empty, path.clone()));
    }
    bearer(token)
}

/// Returns the header with the token that `user` itself has. Only its serialization shows it.
fn own_token(user: &AuthInfo) -> Option<HeaderValue> {
    let user = serde_json::to_value(user).ok()?;
    bearer(user.get("token")?.as_str()?).ok()
}

fn bearer(token: &str) -> Result<HeaderValue, AuthError> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(AuthError::InvalidBearerToken)?;
    header.set_sensitive(true);
    Ok(header)
}

/// A client's service whose requests have the token of a file, if there is one.
pub(crate) struct Authorized<S> {
    pub(crate) service: S,
    pub(crate) token: Option<TokenFile>,
}

impl<S, B> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.header());
        }
        Box::pin(self.service.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(path: &str) -> AuthInfo {
        AuthInfo { token_file: Some(path.to_owned()), ..AuthInfo::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_may_end_in_a_newline_and_is_read_again() {
        let path = std::env::temp_dir().join(format!("rototo-token-{}", std::process::id()));
        let take = |text: &str| {
            std::fs::write(&path, text).unwrap();
            TokenFile::take_from(&mut user(path.to_str().unwrap())).map_err(|error| error.to_string())
        };
        for empty in ["", " \n"] {
            assert!(take(empty).err().unwrap().contains("it is empty"), "{empty:?}");
        }
        assert!(take("a\nb").is_err());
        let token = take("secret\n").unwrap().unwrap();
        assert_eq!(token.header(), "Bearer secret");
        assert!(!format!("{:?}", token.header()).contains("secret"));
        std::fs::write(&path, "next\r\n").unwrap();
        tokio::time::advance(READ_EVERY - Duration::from_millis(1)).await;
        assert_eq!(token.header(), "Bearer secret");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(token.header(), "Bearer next");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(READ_EVERY).await;
        assert_eq!(token.header(), "Bearer next");
    }

    #[test]
    fn the_file_is_left_where_the_user_has_other_credentials() {
        let login = AuthInfo {
            username: Some("u".to_owned()),
            password: Some("p".to_owned().into()),
            ..user("/dev/null/none")
        };
        let inline = AuthInfo { token: Some("t".to_owned().into()), ..AuthInfo::default() };
        for mut other in [inline, login, AuthInfo::default()] {
            assert!(TokenFile::take_from(&mut other).unwrap().is_none());
        }
        assert!(TokenFile::take_from(&mut user("/dev/null/none")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_comes_before_the_token_of_the_user() {
        let path = std::env::temp_dir().join(format!("rototo-both-tokens-{}", std::process::id()));
        let both = || AuthInfo { token: Some("inline".to_owned().into()), ..user(path.to_str().unwrap()) };
        std::fs::write(&path, "of-file\n").unwrap();
        let mut user = both();
        let token = TokenFile::take_from(&mut user).unwrap().unwrap();
        assert_eq!(token.header(), "Bearer of-file");
        assert!(user.token.is_none() && user.token_file.is_none());
        std::fs::write(&path, "next\n").unwrap();
        tokio::time::advance(READ_EVERY).await;
        assert_eq!(token.header(), "Bearer next");
        std::fs::remove_file(&path).unwrap();
        let token = TokenFile::take_from(&mut both()).unwrap().unwrap();
        assert_eq!(token.header(), "Bearer inline");
        assert!(!format!("{:?}", token.header()).contains("inline"));
        std::fs::write(&path, "of-file\n").unwrap();
        tokio::time::advance(READ_EVERY).await;
        assert_eq!(token.header(), "Bearer of-file");
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn the_program_for_credentials_does_not_run_beside_a_token_file() {
        let path = std::env::temp_dir().join(format!("rototo-token-and-program-{}", std::process::id()));
        std::fs::write(&path, "of-file\n").unwrap();
        let exec = serde_json::from_value(serde_json::json!({"command": "none"})).unwrap();
        let mut user = AuthInfo { exec: Some(exec), ..user(path.to_str().unwrap()) };
        assert!(TokenFile::take_from(&mut user).unwrap().is_some());
        assert!(user.exec.is_none());
        std::fs::remove_file(&path).unwrap();
    }
}

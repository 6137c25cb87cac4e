//! Writes the header that carries a login.

use base64::Engine;
use hyper::http::HeaderValue;

use crate::credentials::Login;

/// Returns the value of `Authorization`. `None` if the login has characters that no header has.
pub(crate) fn authorization(login: &Login) -> Option<HeaderValue> {
    let text = match login {
        Login::Bearer(token) => format!("Bearer {}", token.reveal()),
        Login::Basic { username, password } => {
            let pair = format!("{}:{}", username.reveal(), password.reveal());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

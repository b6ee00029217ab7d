//! Who asks: from which address, with which token.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer::Refusal;
use super::app::App;
use super::audit::Actor;
use super::clock;
use super::limits::asker;
use super::log;
use super::tokens::{self, Scope, Token};

/// The other end of a connection; set where it is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Whoever asks, as limits count them.
#[derive(Clone, Copy, Debug)]
struct Asker(IpAddr);

/// Counts a request, and refuses it if there were too many.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let forwarded = app.settings.behind_proxy.then(|| forwarded(request.headers())).flatten();
    let Some(address) = forwarded.or(peer) else {
        return Refusal::fault("a request without an address").into_response();
    };
    let asker = asker(address);
    if let Err(wait) = app.addresses.take(asker, clock::now()) {
        return Refusal::too_often(wait).into_response();
    }
    request.extensions_mut().insert(Asker(asker));
    next.run(request).await
}

/// The last entry is the proxy's own; those before it are anybody's.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let all = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    all.rsplit(',').next()?.trim().parse().ok()
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Without a token.
    Anybody,
    /// With a valid one.
    Known(Token),
}

impl Caller {
    /// The token, which must be of this scope.
    ///
    /// # Errors
    /// If there is none, or it is of the other.
    pub(crate) fn of(&self, scope: Scope) -> Result<&Token, Refusal> {
        match self {
            Self::Known(token) if token.scope == scope => Ok(token),
            Self::Known(_) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "scope",
                format!("this needs a token of scope {}", scope.name()),
                "ask the server's keeper for one",
            )),
            Self::Anybody => Err(unauthorized("this needs a token")),
        }
    }

    /// For the log.
    pub(crate) fn actor(token: &Token) -> Actor {
        Actor::Token(token.id.clone())
    }

    /// Whether everything is shown to them.
    pub(crate) fn is_admin(&self) -> bool {
        matches!(self, Self::Known(token) if token.scope == Scope::Admin)
    }

    /// Whose submissions are their own; nobody's without a token.
    pub(crate) fn submitter(&self) -> &str {
        match self {
            Self::Known(token) if token.scope == Scope::Submit => &token.submitter,
            _ => "",
        }
    }
}

fn unauthorized(message: &str) -> Refusal {
    let remedy = "send `Authorization: Bearer TOKEN`; the server's keeper makes tokens";
    Refusal::new(StatusCode::UNAUTHORIZED, "token", message, remedy)
}

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Some(said) = parts.headers.get(header::AUTHORIZATION) else { return Ok(Self::Anybody) };
        let Some(&Asker(asker)) = parts.extensions.get() else {
            return Err(Refusal::fault("a request that was not admitted"));
        };
        // Whoever guesses gets no answer at all for the rest of the minute.
        app.guesses.look(asker, clock::now()).map_err(Refusal::too_often)?;
        let secret = said.to_str().ok().and_then(|said| said.strip_prefix("Bearer "));
        let token = match secret {
            Some(secret) => tokens::find(&app.database, secret.trim()).await?,
            None => None,
        };
        let Some(token) = token else {
            app.guesses.take(asker, clock::now()).map_err(Refusal::too_often)?;
            return Err(unauthorized("there is no such token, or it was revoked"));
        };
        app.tokens.take(token.id.clone(), clock::now()).map_err(Refusal::too_often)?;
        if let Err(error) = tokens::used(&app.database, &token).await {
            // Only a note is missing.
            log::line(format!("warning: the use of token {} is not noted: {error}", token.id));
        }
        Ok(Self::Known(token))
    }
}

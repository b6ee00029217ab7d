//! Connections: so many at once, with a limit on the time that headers take, and ended in order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use super::caller::Peer;
use super::log;
use crate::failure::{Failure, Result};

/// For the headers of a request, and for a connection on which nothing is asked.
const HEADERS: Duration = Duration::from_secs(10);
/// For requests under way when the server is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Answers until the process is told to end: so many connections at once, each for as long as its reader never pauses
/// longer than `idle`.
///
/// # Errors
/// If the signals cannot be listened to.
pub(crate) async fn serve(
    listener: &TcpListener,
    router: &Router,
    (connections, idle): (u32, Duration),
) -> Result<()> {
    let places = Arc::new(Semaphore::new(connections as usize));
    let (stop, stopped) = watch::channel(());
    let signals = |e| Failure::failed(format!("signals: {e}"));
    let mut end = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    loop {
        let next = async {
            // More wait where the system queues them.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = end.recv() => break,
            _ = interrupt.recv() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stopped) = (router.clone(), stopped.clone());
                let mut stream = TimeoutStream::new(stream);
                // Bodies that are sent to us have their own limit.
                stream.set_write_timeout(Some(idle));
                tokio::spawn(async move {
                    connection(stream, Peer(peer.ip()), router, stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Too many open files, mostly: others end meanwhile.
                log::line(format!("warning: a connection was not accepted: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(stopped);
    stop.send_replace(());
    if tokio::time::timeout(GRACE, stop.closed()).await.is_err() {
        log::line(format!(
            "warning: requests that took longer than {} seconds were cut",
            GRACE.as_secs()
        ));
    }
    Ok(())
}

async fn connection(
    stream: TimeoutStream<TcpStream>,
    peer: Peer,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.map(Body::new)
    });
    let service = TowerToHyperService::new(service);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    // Whoever hangs up is no news.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

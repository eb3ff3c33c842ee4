//! Ending well: SIGTERM or SIGINT cancels one token everybody watches; a second signal ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process ended by an interrupt; used when someone insists by a second signal.
const INTERRUPTED: i32 = 130;

/// Returns the token that the first SIGTERM or SIGINT cancels. Must be called inside a runtime.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "shutting down; a second signal ends at once");
        cancel.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "ending without drain");
        // The one place that may exit: whoever signals twice does not want to wait for anybody's cleanup.
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

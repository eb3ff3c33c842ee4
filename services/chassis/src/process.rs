//! A process from its first line to its exit code: one TLS provider, logs, a runtime, signals.

use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;
use std::thread::available_parallelism;

use rustls::crypto::aws_lc_rs;
use tokio_util::sync::CancellationToken;

use crate::shutdown;
use crate::telemetry::{self, LogArgs, report};

/// These programs wait more than they work: a thread for each core of a large node would only cost memory.
const MOST_THREADS: usize = 4;

/// Why a program ended otherwise than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to start logging")]
    Telemetry(#[source] telemetry::Error),
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    #[error("failed to listen for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Program(Box<dyn StdError + Send + Sync>),
}

/// Runs a program until it ends, or until SIGTERM or SIGINT cancels the token it is given.
pub fn run<F, E>(log: &LogArgs, program: impl FnOnce(CancellationToken) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), E>>,
    E: StdError + Send + Sync + 'static,
{
    // Libraries that ask the process for its provider get the one everybody uses; a second call changes nothing.
    let _ = aws_lc_rs::default_provider().install_default();
    telemetry::init(log).map_err(Error::Telemetry)?;
    let threads = available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signal().map_err(Error::Signals)?;
        program(shutdown).await.map_err(|error| Error::Program(Box::new(error)))
    })
}

/// Says on one line why a program ended, if it was not told to.
pub fn exit(ended: Result<(), Error>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {}", report(&error));
            ExitCode::FAILURE
        }
    }
}

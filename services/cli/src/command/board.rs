//! The board in the user's browser, by the user's own rights.
//!
//! A browser knows neither the cluster nor its authority, so this program stands between: on a loopback port it takes plain HTTP and passes it
//! on through a port-forward, inside TLS whose certificate it has checked against what the operator publishes. It logs the browser in with
//! a one-time code; the token behind it is good at the board alone, lives ten minutes and never reaches the browser.

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::credentials::{account_token, connector};
use crate::error::Error;
use crate::forward::{Stream, forward};
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look as this ServiceAccount of the namespace
    #[arg(long, value_name = "NAME", default_value = "waybill-viewer")]
    account: String,
    /// The namespace Waybill is installed in
    #[arg(long, value_name = "NAMESPACE", default_value = "waybill-system")]
    system: String,
    /// The port on this machine; any free one unless you say so
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Only print the address
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

const NAME: &str = "waybill-board";
const PORT: u16 = 5002;
/// Much longer than a code.
const MAX_ANSWER: usize = 64 << 10;

/// The way to the board's pod.
#[derive(Clone)]
struct Way {
    /// The namespace the board runs in.
    system: Cluster,
    tls: TlsConnector,
    name: ServerName<'static>,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let way = Way::of(cluster, &args.system).await?;
    let token = account_token(cluster, &args.account, NAME).await?;
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await;
    let listener = listener.map_err(|source| said(format!("failed to listen on port {}: {source}", args.port)))?;
    let address = listener.local_addr().map_err(|source| said(format!("failed to listen: {source}")))?;
    let code = way.code(&token).await?;
    let url = format!("http://{address}/login#{code}");
    print(&format!(
        "The board, as {} of namespace {}: {url}\nThe code in it works once, for a minute. Ctrl-C ends this way to the board; the board goes on.\n",
        args.account, cluster.namespace
    ));
    if !args.no_browser {
        open(&url);
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(code::DONE),
            taken = listener.accept() => {
                let Ok((stream, _)) = taken else { continue };
                let way = way.clone();
                tokio::spawn(async move { way.pass_on(stream).await });
            }
        }
    }
}

impl Way {
    async fn of(cluster: &Cluster, system: &str) -> Result<Self, Error> {
        let tls = connector(cluster).await?;
        let host = format!("{NAME}.{system}.svc");
        let name = ServerName::try_from(host).map_err(|_| said(format!("{system:?} is no namespace")))?;
        let system = Cluster { namespace: system.to_owned(), ..cluster.clone() };
        Ok(Self { system, tls, name })
    }

    /// A connection to the board whose certificate was checked.
    async fn connect(&self) -> Result<TlsStream<Box<dyn Stream>>, Error> {
        let missing = format!(
            "no board is ready in namespace {:?}; --system says where Waybill is installed",
            self.system.namespace
        );
        let plain = forward(&self.system, "board", PORT, missing).await?;
        let connected = self.tls.connect(self.name.clone(), plain).await;
        connected.map_err(|error| {
            said(format!("the board's certificate is not of the authority this namespace trusts: {error}\n  with a certificate of your own (board.tlsSecret) open the board's own address"))
        })
    }

    /// A one-time code for the bearer of this token.
    async fn code(&self, token: &str) -> Result<String, Error> {
        let failed = |error: &dyn std::fmt::Display| said(format!("failed to ask the board: {error}"));
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let request = Request::post("/api/session")
            .header(header::HOST, self.name.to_str().as_ref())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| failed(&error))?;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        match (status, body["code"].as_str()) {
            (StatusCode::CREATED, Some(code)) => Ok(code.to_owned()),
            _ => Err(said(format!("the board refused: {}", body["detail"].as_str().unwrap_or(status.as_str())))),
        }
    }

    /// What a browser says, to the board and back; who goes away takes their connection along.
    async fn pass_on(&self, mut browser: TcpStream) {
        match self.connect().await {
            Ok(mut board) => drop(copy_bidirectional(&mut browser, &mut board).await),
            Err(error) => eprintln!("error: {}", error.told()),
        }
    }
}

/// Whatever opens addresses here; where nothing does, the printed one is enough.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let _ = std::process::Command::new(opener).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}

fn said(text: String) -> Error {
    Error::Missing(text)
}

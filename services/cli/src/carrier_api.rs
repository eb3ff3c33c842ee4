//! The way to a namespace's Carrier API, by the user's own rights: through a port-forward to one of its pods, or straight to `--server`. Either
//! way its certificate is checked against what the operator published in ConfigMap `waybill-trust`, and a Kubernetes token says who asks:
//! the kubeconfig's own, or a short one for a ServiceAccount that is good at the Carrier API and nowhere else.

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::cluster::Cluster;
use crate::credentials::{account_token, connector};
use crate::error::Error;
use crate::forward::{Stream, forward};

const NAME: &str = "waybill-carrier-api";
const PORT: u16 = 5001;
/// Whose token is asked for where the kubeconfig has none; the chart makes it.
const VIEWER: &str = "waybill-viewer";
/// The largest answer: a bundle with sixteen photos at their largest, and room.
const MAX_ANSWER: usize = 96 << 20;

/// How to get there.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Road {
    /// Address of the Carrier API; a port-forward through the cluster's API server unless you say so
    #[arg(long, value_name = "HTTPS-URL")]
    server: Option<String>,
    /// Ask as this ServiceAccount of the namespace; as yourself where the kubeconfig has a token, else as waybill-viewer
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Where `--server` leads: host, port.
type Address = (String, u16);

/// A Carrier API that can be asked.
pub(crate) struct CarrierApi {
    cluster: Cluster,
    server: Option<Address>,
    tls: TlsConnector,
    token: Zeroizing<String>,
}

/// What it answered, where it did what it was asked.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Missing(format!("failed to read the Carrier API's answer: {error}")))
    }
}

impl CarrierApi {
    pub(crate) async fn of(cluster: &Cluster, road: &Road) -> Result<Self, Error> {
        let server = road.server.as_deref().map(address).transpose()?;
        let tls = connector(cluster).await?;
        let token = token(cluster, road).await?;
        Ok(Self { cluster: cluster.clone(), server, tls, token })
    }

    /// Asks, and gives back the answer or what was refused and why.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        let failed = |error| reach(&self.cluster, "ask", error);
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.as_str()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| reach(&self.cluster, "ask", error))?;
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|source| Error::Reach { verb: "ask", namespace: self.namespace(), source })?.to_bytes();
        if status.is_success() { Ok(Answer { body }) } else { Err(self.refused(status, &body)) }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().map(str::to_owned);
        let slug = text("type").and_then(|kind| kind.rsplit('/').next().map(str::to_owned));
        Error::Refused {
            slug: slug.unwrap_or_else(|| status.as_str().to_owned()),
            detail: text("detail").unwrap_or_else(|| status.to_string()),
            namespace: self.namespace(),
        }
    }

    fn namespace(&self) -> String {
        self.cluster.namespace.clone()
    }

    /// The name its certificate must have.
    fn host(&self) -> String {
        match &self.server {
            Some((host, _)) => host.clone(),
            None => format!("{NAME}.{}.svc", self.cluster.namespace),
        }
    }

    /// A connection with its certificate checked.
    async fn connect(&self) -> Result<impl Stream + 'static, Error> {
        let plain: Box<dyn Stream> = match &self.server {
            Some((host, port)) => {
                let connected = TcpStream::connect((host.as_str(), *port)).await;
                Box::new(connected.map_err(|error| reach(&self.cluster, "reach", error))?)
            }
            None => {
                let namespace = &self.cluster.namespace;
                let missing = format!(
                    "no Carrier API is ready in namespace {namespace:?}; a namespace gets one with its first Carrier: kubectl get pods -n {namespace}"
                );
                forward(&self.cluster, &NAME[8..], PORT, missing).await?
            }
        };
        let name = ServerName::try_from(self.host()).map_err(|error| reach(&self.cluster, "name", error))?;
        self.tls.connect(name, plain).await.map_err(|error| reach(&self.cluster, "trust", error))
    }
}

fn reach(cluster: &Cluster, verb: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Reach { verb, namespace: cluster.namespace.clone(), source: Box::new(source) }
}

/// `https://host[:port][/]`: its routes begin at the root.
fn address(url: &str) -> Result<Address, Error> {
    let wrong = || Error::Missing(format!("--server {url:?} is not of the form https://host[:port]"));
    let rest = url.strip_prefix("https://").ok_or_else(wrong)?.trim_end_matches('/');
    let uri: http::Uri = format!("https://{rest}").parse().map_err(|_| wrong())?;
    let plain = uri.path() == "/" && uri.query().is_none();
    let host = uri.host().filter(|host| plain && !host.is_empty()).ok_or_else(wrong)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(443)))
}

/// A Kubernetes token for who asks.
async fn token(cluster: &Cluster, road: &Road) -> Result<Zeroizing<String>, Error> {
    if road.account.is_none()
        && let Some(own) = own_token(cluster)
    {
        return Ok(own);
    }
    account_token(cluster, road.account.as_deref().unwrap_or(VIEWER), NAME).await
}

/// The token of the kubeconfig, where it has one in plain sight.
fn own_token(cluster: &Cluster) -> Option<Zeroizing<String>> {
    let auth = &cluster.auth;
    if let Some(token) = &auth.token {
        return Some(Zeroizing::new(token.expose_secret().to_owned()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(auth.token_file.as_deref()?).ok()?);
    Some(Zeroizing::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_https_address_and_nothing_below_it() {
        assert_eq!(address("https://carriers.example.org").unwrap(), ("carriers.example.org".into(), 443));
        assert_eq!(address("https://127.0.0.1:5001/").unwrap(), ("127.0.0.1".into(), 5001));
        for bad in ["http://a", "a", "https://", "https://a/b", "https://a?b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}

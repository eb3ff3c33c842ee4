//! The Carrier API as this agent calls it: HTTPS with the agent's certificate, and a token for each delivery.
//!
//! Trusted: that the server is who our CAs say, and nothing more. What it tells is checked where it is used: events by
//! their signatures, statements by the CA, a picture's hash against the picture. Its `Date` puts our clock right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::revocation;
use waybill_chassis::tls::{self, Bundle};
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::fact::reason::Media;
use waybill_protocol::{Bytes, Hash, Uid, UnixMillis, Upc};

use crate::camera::same_picture;
use crate::clock::Clock;
use crate::job::{LogRead, Photo, PostAnswer, UploadAnswer};
use crate::keys::Identity;
use crate::renew::Renewed;

const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(30);
/// A whole log of large events in base64, with room.
const MAX_ANSWER: usize = 4 << 20;

/// Why there is no answer. All of these are worth another try, later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Carrier API address is known")]
    NoAddress,
    #[error("failed to reach the Carrier API")]
    Unreachable(#[source] reqwest::Error),
    #[error("the Carrier API answers {0}")]
    Status(StatusCode),
    #[error("the Carrier API says that this agent is revoked")]
    Revoked,
    #[error("the Carrier API's answer can't be read")]
    Answer,
}

impl Error {
    /// Whether the Carrier API says that there is no such thing for this agent, this time at least.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(StatusCode::NOT_FOUND))
    }
}

/// One open delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub delivery: Uid,
    pub seller: Uid,
    pub upc: Upc,
    /// The number the log expects of this agent next.
    pub expected: u32,
    /// How exactly anybody may see where the parcel is.
    pub location: LocationSharing,
}

/// What is asked about: a delivery and its name.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub delivery: &'a Uid,
    pub upc: &'a Upc,
}

/// The client; cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    client: watch::Receiver<Client>,
    address: Address,
    identity: watch::Receiver<Option<Arc<Identity>>>,
    clock: Clock,
    line: Arc<Line>,
}

/// Where it is: as set, or as published.
#[derive(Debug, Clone)]
pub struct Address {
    pub set: Option<String>,
    pub published: watch::Receiver<Arc<Files>>,
}

/// Whether answers come; those who wait for one try again as soon as another did.
#[derive(Debug)]
struct Line {
    failing: AtomicBool,
    restored: watch::Sender<u64>,
}

impl Address {
    pub(crate) fn get(&self) -> Option<String> {
        let published = || self.published.borrow().text("carrier-api").map(str::to_owned);
        let address = self.set.clone().or_else(published).filter(|address| !address.is_empty())?;
        Some(address.trim_end_matches('/').to_owned())
    }
}

/// A client for each new certificate; connections of before end with their requests.
pub fn clients(tls: watch::Receiver<Arc<ClientConfig>>) -> Result<watch::Receiver<Client>, reqwest::Error> {
    tls::map("Carrier API client", tls, |tls| client(ClientConfig::clone(tls)))
}

fn client(mut tls: ClientConfig) -> Result<Client, reqwest::Error> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        .build()
}

/// How many open deliveries are asked for at once.
const PAGE: usize = 100;
/// And how often: no answer keeps an agent asking for ever.
const PAGES: usize = 1000;

#[derive(Deserialize)]
struct WireList {
    deliveries: Vec<WireOpen>,
    /// Where the next page begins; those of before there were pages tell all at once.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOpen {
    uid: String,
    upc: String,
    seller_uid: String,
    expected: WireExpected,
    #[serde(default)]
    location: LocationSharing,
}

#[derive(Deserialize)]
struct WireExpected {
    seq: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    custody: Vec<String>,
    #[serde(default)]
    seller_statement: Option<String>,
    #[serde(default)]
    location: LocationSharing,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct WireStored {
    hash: String,
}

impl Api {
    pub(crate) fn new(
        client: watch::Receiver<Client>,
        address: Address,
        identity: watch::Receiver<Option<Arc<Identity>>>,
        clock: Clock,
    ) -> Self {
        let line = Line { failing: AtomicBool::new(false), restored: watch::Sender::new(0) };
        Self { client, address, identity, clock, line: Arc::new(line) }
    }

    /// The deliveries that wait for this agent. Entries that can't be read are left out: they are no reason to forget
    /// the others.
    pub async fn open_deliveries(&self) -> Result<Vec<Open>, Error> {
        let read = |open: WireOpen| {
            let (delivery, seller) = (Uid::new(open.uid).ok()?, Uid::new(open.seller_uid).ok()?);
            let (upc, expected, location) = (Upc::new(open.upc).ok()?, open.expected.seq, open.location);
            Some(Open { delivery, seller, upc, expected, location })
        };
        let (mut all, mut path) = (Vec::new(), format!("/api/agent/deliveries?limit={PAGE}"));
        for _ in 0..PAGES {
            let list: WireList = json(self.ask(Method::GET, &path, None, None).await?).await?;
            all.extend(list.deliveries.into_iter().filter_map(read));
            // A uid has no letter that would mean something in a query; what has one is none.
            let Some(next) = list.next.and_then(|next| Uid::new(next).ok()) else { break };
            path = format!("/api/agent/deliveries?limit={PAGE}&after={next}");
        }
        Ok(all)
    }

    /// The log as it stands.
    pub async fn log(&self, about: About<'_>) -> Result<LogRead, Error> {
        let path = format!("/api/agent/deliveries/{}/log", about.delivery);
        let log: WireLog = json(self.ask(Method::GET, &path, Some(about), None).await?).await?;
        let bytes = |text: String| STANDARD.decode(text).map_err(|_| Error::Answer);
        let custody = log.custody.into_iter().map(bytes).collect::<Result<_, _>>()?;
        let seller_statement = log.seller_statement.map(bytes).transpose()?;
        Ok(LogRead { custody, seller_statement, location: log.location })
    }

    /// Own events into the log.
    pub async fn post(&self, about: About<'_>, events: &[Bytes]) -> Result<PostAnswer, Error> {
        let path = format!("/api/shipment/{}", segment(about.upc.as_str()));
        let events: Vec<String> = events.iter().map(|event| STANDARD.encode(&event.0)).collect();
        let body = serde_json::json!({ "events": events }).to_string().into_bytes();
        match self.ask(Method::POST, &path, Some(about), Some(("application/json", body))).await {
            Ok(_) => Ok(PostAnswer::Taken),
            Err(Error::Status(StatusCode::CONFLICT)) => Ok(PostAnswer::Gap),
            Err(Error::Status(status)) if is_final(status) => Ok(PostAnswer::Refused),
            Err(error) => Err(error),
        }
    }

    /// A picture to where everybody may fetch it. The hash of what is kept is only taken over if it is the hash of what
    /// was sent, or if what is kept shows the same.
    pub async fn upload(&self, about: About<'_>, photo: &Photo) -> Result<UploadAnswer, Error> {
        let path = format!("/api/agent/deliveries/{}/photos", about.delivery);
        let media = match photo.media {
            Media::Jpeg => "image/jpeg",
            Media::Png => "image/png",
        };
        let stored = match self.ask(Method::PUT, &path, Some(about), Some((media, photo.bytes.clone()))).await {
            Ok(answer) => json::<WireStored>(answer).await?.hash,
            Err(Error::Status(status)) if is_final(status) => return Ok(UploadAnswer::Refused),
            Err(error) => return Err(error),
        };
        let own = Hash::of(&photo.bytes);
        if stored == own.to_string() {
            return Ok(UploadAnswer::Stored(own));
        }
        if stored.len() != 64 || !stored.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Error::Answer);
        }
        let kept = self.ask(Method::GET, &format!("{path}/{stored}"), Some(about), None).await?;
        let kept = body(kept, MAX_ANSWER).await?;
        let hash = Hash::of(&kept);
        let same = hash.to_string() == stored && same_picture(&kept, &photo.bytes);
        Ok(if same { UploadAnswer::Stored(hash) } else { UploadAnswer::Refused })
    }

    /// Changes when answers come again after a time without.
    pub(crate) fn restored(&self) -> watch::Receiver<u64> {
        self.line.restored.subscribe()
    }

    /// One request; once more where our clock was wrong and the answer put it right.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        about: Option<About<'_>>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Response, Error> {
        let first = self.ask_once(method.clone(), path, about, body.clone()).await;
        match first {
            (Err(Error::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)), true) => {
                self.ask_once(method, path, about, body).await.0
            }
            (answer, _) => answer,
        }
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        about: Option<About<'_>>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> (Result<Response, Error>, bool) {
        let Some(address) = self.address.get() else { return (Err(Error::NoAddress), false) };
        let client = self.client.borrow().clone();
        let mut request = client.request(method, format!("{address}{path}"));
        if let Some(token) = self.token(about) {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header(header::CONTENT_TYPE, kind).body(body);
        }
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> (Result<Response, Error>, bool) {
        match request.send().await {
            Ok(answer) => {
                self.line.answered(answer.status());
                let corrected = date(&answer).is_some_and(|date| self.clock.hear(date));
                let status = answer.status();
                (if status.is_success() { Ok(answer) } else { Err(refusal(answer).await) }, corrected)
            }
            Err(error) => {
                self.line.failing.store(true, Ordering::Relaxed);
                (Err(Error::Unreachable(error.without_url())), false)
            }
        }
    }

    fn token(&self, about: Option<About<'_>>) -> Option<String> {
        let identity = self.identity.borrow().clone()?;
        let now = self.clock.now().trusted;
        let token = match about {
            Some(About { delivery, upc }) => identity.tokens.make(delivery.as_str(), Some(upc.as_str()), now),
            None => identity.tokens.make(identity.tokens.issuer(), None, now),
        };
        Some(token.as_str().to_owned())
    }
}

/// Asks for what the operator has signed for an agent: no certificate is shown, only the server's is checked. Once more
/// where our clock was wrong and the answer put it right.
pub(crate) async fn renew(
    address: &str,
    clock: &Clock,
    bundle: &[u8],
    request: impl Fn(UnixMillis) -> String,
) -> Result<Renewed, Error> {
    let tls = Bundle::from_pem(bundle).and_then(|bundle| tls::anonymous_client(&bundle));
    let client = client(tls.map_err(|_| Error::Answer)?).map_err(Error::Unreachable)?;
    let mut again = true;
    loop {
        let body = serde_json::json!({ "request": request(clock.now().trusted) }).to_string();
        let asked = client.post(format!("{address}/identity")).header(header::CONTENT_TYPE, "application/json");
        let answer = asked.body(body).send().await.map_err(|error| Error::Unreachable(error.without_url()))?;
        let corrected = date(&answer).is_some_and(|date| clock.hear(date));
        match answer.status() {
            status if status.is_success() => return json(answer).await,
            _ if corrected && again => again = false,
            status => return Err(Error::Status(status)),
        }
    }
}

impl Line {
    /// Only what was wanted is good news: with one replica that refuses and one that can't be reached, every other
    /// answer would call everybody back at once.
    fn answered(&self, status: StatusCode) {
        if status.is_success() && self.failing.swap(false, Ordering::Relaxed) {
            self.restored.send_modify(|times| *times += 1);
        }
    }
}

/// One problem is for good; of the others the status says enough.
async fn refusal(answer: Response) -> Error {
    let status = answer.status();
    if status != StatusCode::FORBIDDEN {
        return Error::Status(status);
    }
    let problem: Result<Problem, Error> = json(answer).await;
    let revoked = problem.is_ok_and(|problem| problem.kind.ends_with(&format!("/{}", revocation::REVOKED.slug)));
    if revoked { Error::Revoked } else { Error::Status(status) }
}

/// Answers that no other try will change.
fn is_final(status: StatusCode) -> bool {
    [400, 413, 415, 422].contains(&status.as_u16())
}

fn date(answer: &Response) -> Option<UnixMillis> {
    let text = answer.headers().get(header::DATE)?.to_str().ok()?;
    let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixMillis::from_secs(since.as_secs()))
}

async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    serde_json::from_slice(&body(answer, MAX_ANSWER).await?).map_err(|_| Error::Answer)
}

async fn body(mut answer: Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Error::Unreachable(error.without_url()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(Error::Answer);
        }
    }
    Ok(bytes)
}

/// A UPC may hold any printable character: all but letters and digits are escaped.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_after_a_failure_calls_the_others_back() {
        let line = Line { failing: AtomicBool::new(true), restored: watch::Sender::new(0) };
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS, StatusCode::FORBIDDEN] {
            line.answered(status);
            assert_eq!(*line.restored.borrow(), 0, "{status}");
        }
        line.answered(StatusCode::OK);
        line.answered(StatusCode::OK);
        assert_eq!(*line.restored.borrow(), 1);
    }

    #[test]
    fn a_upc_is_one_segment_of_a_path_whatever_it_holds() {
        assert_eq!(segment("UPC_1"), "UPC_1");
        assert_eq!(segment("../a?b#c/d%"), "..%2Fa%3Fb%23c%2Fd%25");
    }
}

//! What a person at the device says and sees: HTTP over a Unix socket that only the agent's own user can open. A phone's
//! screen, a scanner or a script speaks to it; `docs/agent.md` has every route.
//!
//! Trusted: whoever may open the socket is the courier. Still nothing happens that the state machine does not allow.

mod socket;
mod wire;

use std::path::Path;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waybill_chassis::problem::{self, Checked, Kind, Problem};
use waybill_protocol::Uid;

use crate::agent::Request;
use crate::camera;
use crate::job::{Answer, Ask, Proof, Refused, Tap, Told};

pub(crate) use socket::Error;

/// The most bytes of a picture.
const MAX_PICTURE: usize = 16 << 20;
/// A delivery that does not answer in this time is busy with something else.
const PATIENCE: Duration = Duration::from_secs(10);

const REFUSED: Kind = Kind { slug: "tap-refused", title: "Not now", status: StatusCode::CONFLICT };
const NOT_OPEN: Kind =
    Kind { slug: "delivery-not-open", title: "No such open delivery", status: StatusCode::NOT_FOUND };
const MALFORMED: Kind = Kind { slug: "malformed", title: "Not understood", status: StatusCode::BAD_REQUEST };
const NO_PICTURE: Kind =
    Kind { slug: "no-picture", title: "Not a picture", status: StatusCode::UNSUPPORTED_MEDIA_TYPE };
const BUSY: Kind = Kind { slug: "busy", title: "Busy", status: StatusCode::SERVICE_UNAVAILABLE };

#[derive(Debug, Clone)]
struct Desk {
    agent: mpsc::Sender<Request>,
}

/// Serves the socket at `path` until `stop`.
pub(crate) async fn serve(path: &Path, agent: mpsc::Sender<Request>, stop: CancellationToken) -> Result<(), Error> {
    let listener = socket::bind(path)?;
    let routes = Router::new()
        .route("/deliveries", get(all))
        .route("/deliveries/{uid}", get(one))
        .route("/deliveries/{uid}/taps", post(tap))
        .route("/deliveries/{uid}/scan", post(scan))
        .route("/deliveries/{uid}/photo", put(photo))
        .route("/deliveries/{uid}/digits", post(digits))
        .route("/deliveries/{uid}/code", post(code))
        .route("/position", put(position))
        .layer(DefaultBodyLimit::max(MAX_PICTURE))
        .layer(middleware::from_fn(problem::finish))
        .with_state(Desk { agent });
    tracing::info!(?path, "takes taps");
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await.map_err(Error::Serve)
}

impl Desk {
    async fn ask(&self, uid: &str, ask: Ask) -> Result<Told, Problem> {
        let delivery = Uid::new(uid).map_err(|error| Problem::new(MALFORMED, error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        self.send(Request::One(delivery, ask, reply)).await?;
        answered(answer).await?.map_err(|refused| of(&refused))
    }

    async fn send(&self, request: Request) -> Result<(), Problem> {
        self.agent.send(request).await.map_err(|_| Problem::new(BUSY, "the agent is ending"))
    }
}

/// No answer at all means that nobody works on it here.
async fn answered(answer: oneshot::Receiver<Answer>) -> Result<Answer, Problem> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Problem::new(NOT_OPEN, "this agent works on no such delivery now")),
        Err(_) => Err(Problem::new(BUSY, "the delivery did not answer in time; ask again")),
    }
}

fn of(refused: &Refused) -> Problem {
    let problem = if *refused == Refused::NotReady { BUSY } else { REFUSED };
    Problem::new(problem, refused.to_string()).with("code", refused.code())
}

fn shown(told: Told) -> Json<Value> {
    Json(match told {
        Told::View(view) => wire::view(&view),
        Told::Courier(proof) => json!({ "digits": proof.digits, "code": scanned(&proof) }),
    })
}

async fn all(State(desk): State<Desk>) -> Result<Json<Value>, Problem> {
    let (views, mut coming) = mpsc::unbounded_channel();
    desk.send(Request::All(views)).await?;
    let mut deliveries = Vec::new();
    while let Some(view) = coming.recv().await {
        // One that ends while it is asked is open no more.
        if let Ok(Ok(Told::View(view))) = answered(view).await {
            deliveries.push(wire::view(&view));
        }
    }
    Ok(Json(json!({ "deliveries": deliveries })))
}

async fn one(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
) -> Result<Json<Value>, Problem> {
    desk.ask(&uid, Ask::Show).await.map(shown)
}

async fn tap(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let tap = wire::tap(&body).map_err(|words| Problem::new(MALFORMED, words))?;
    desk.ask(&uid, Ask::Tap(tap)).await.map(shown)
}

async fn scan(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
    picture: Bytes,
) -> Result<Json<Value>, Problem> {
    let codes = looked_at(move || camera::codes(&picture)).await?;
    desk.ask(&uid, Ask::Tap(Tap::Scan(codes))).await.map(shown)
}

async fn photo(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
    picture: Bytes,
) -> Result<Json<Value>, Problem> {
    let photo = looked_at(move || camera::proof(&picture)).await?;
    desk.ask(&uid, Ask::Photo(photo)).await.map(shown)
}

async fn looked_at<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, camera::Error> + Send + 'static,
) -> Result<T, Problem> {
    let seen = tokio::task::spawn_blocking(look).await.ok().and_then(Result::ok);
    seen.ok_or_else(|| Problem::new(NO_PICTURE, "that is no JPEG or PNG that can be read"))
}

async fn digits(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let challenge = wire::challenge(&body).map_err(|words| Problem::new(MALFORMED, words))?;
    desk.ask(&uid, Ask::Courier(challenge)).await.map(shown)
}

/// As a picture, for the recipient's page to scan.
async fn code(
    State(desk): State<Desk>,
    Checked(Segment(uid)): Checked<Segment<String>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let challenge = wire::challenge(&body).map_err(|words| Problem::new(MALFORMED, words))?;
    let told = desk.ask(&uid, Ask::Courier(challenge)).await?;
    let Told::Courier(proof) = told else {
        return Err(Problem::new(BUSY, "the delivery did not answer this; ask again"));
    };
    let kept = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")];
    Ok((kept, camera::code_png(&scanned(&proof))).into_response())
}

/// What a recipient's page makes of the code it scans.
fn scanned(proof: &Proof) -> String {
    URL_SAFE_NO_PAD.encode(&proof.signature)
}

async fn position(State(desk): State<Desk>, body: Bytes) -> Result<StatusCode, Problem> {
    let fix = wire::fix(&body).map_err(|words| Problem::new(MALFORMED, words))?;
    desk.send(Request::Moved(fix)).await?;
    Ok(StatusCode::NO_CONTENT)
}

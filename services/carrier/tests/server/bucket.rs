//! Photos in a bucket: a real S3 server that checks signatures, and what happens when it is away or does not know us.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use waybill_carrier::Bucket;
use waybill_e2e::eventually;
use waybill_protocol::{Hash, Stage};

use crate::photos::jpeg;
use crate::room::{SOON, in_room_at, posted, proof};
use crate::viewing::files;

#[tokio::test]
async fn d55_photos_are_kept_in_a_bucket_and_nothing_is_lost_while_it_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path()).await;
    let place = ("s3://evidence/shop".to_owned(), server.settings("secret"));
    let root = dir.path().join("s3/evidence/shop");
    in_room_at("d55_photos_are_kept_in_a_bucket", dir, place, async |mut room| {
        let parcel = room.under_way("UPC_1").await;
        let photo = jpeg(None, 1);
        let upload = async |room: &crate::room::Room, number: u8| {
            room.agent.upload(&parcel, "image/jpeg", jpeg(None, number)).await
        };
        let kept = upload(&room, 1).await;
        assert_eq!(kept.status, 201, "{kept:?}");
        assert_eq!(upload(&room, 1).await.status, 200, "again is no change");
        let hash = kept.body["hash"].as_str().unwrap().to_owned();
        let found = files(&root.join(format!("photos/{}", parcel.uid)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(std::fs::read(&found[0]).unwrap(), photo, "under the prefix");
        let path = format!("photos/{hash}");
        assert_eq!(room.agent.get(&parcel, &path).await.bytes, photo);

        // Away: told so, reports go on, and the agent's own copy is taken once it is back.
        server.stop().await;
        let away = upload(&room, 2).await;
        assert_eq!(away.is(), (503, "storage-unavailable"));
        assert!(away.headers.contains_key("retry-after"));
        assert_eq!(room.agent.get(&parcel, &path).await.is(), (503, "storage-unavailable"), "not: there is none");
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        server.serve().await;
        assert_eq!(upload(&room, 2).await.status, 201);
        room.agent_reports(&parcel, &[proof(Hash(hex::decode(&hash).unwrap().try_into().unwrap()))]).await;

        // A bucket that does not know us says nothing of what is in it, nor do we.
        room.home.bucket = server.settings("another secret");
        room.restart().await;
        assert_eq!(upload(&room, 3).await.is(), (503, "storage-unavailable"));
        assert_eq!(room.agent.get(&parcel, &path).await.is(), (503, "storage-unavailable"));
        room.home.bucket = server.settings("secret");
        room.restart().await;
        assert_eq!(upload(&room, 3).await.status, 201);
        assert_eq!(room.agent.get(&parcel, &path).await.bytes, photo, "evidence survives (D-60)");
        // Full: an error of the server, told as one that mends itself.
        let full = root.join("photos").join(&parcel.uid);
        let hidden = full.with_extension("hidden");
        std::fs::rename(&full, &hidden).unwrap();
        std::fs::write(&full, b"no folder").unwrap();
        assert_eq!(upload(&room, 4).await.is(), (503, "storage-unavailable"));
        std::fs::remove_file(&full).unwrap();
        std::fs::rename(&hidden, &full).unwrap();
        assert_eq!(upload(&room, 4).await.status, 201);
    })
    .await;
    server.stop().await;
}

/// Whoever forgets may have looked into the folder before the photo was there.
#[tokio::test]
async fn a_photo_that_came_while_its_delivery_went_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path()).await;
    let place = ("s3://evidence".to_owned(), server.settings("secret"));
    let root = dir.path().join("s3/evidence");
    in_room_at("a_photo_that_came_while", dir, place, async |room| {
        let parcel = room.parcel("UPC_1").await;
        server.gate.holds.store(true, Ordering::SeqCst);
        let (agent, one) = (room.agent.clone(), parcel.clone());
        let under_way = tokio::spawn(async move { agent.upload(&one, "image/jpeg", jpeg(None, 1)).await });
        server.gate.reached.notified().await;
        room.deliveries().delete("upc-1", &Default::default()).await.unwrap();
        eventually("the delivery is gone", SOON, || async {
            let answer = room.agent.get(&parcel, "log").await;
            if answer.status == 404 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        server.gate.holds.store(false, Ordering::SeqCst);
        server.gate.opened.notify_one();
        assert_eq!(under_way.await.unwrap().is(), (404, "delivery-unknown"));
        let left: Vec<PathBuf> =
            files(&root).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jpg")).collect();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
    server.stop().await;
}

// === helpers ===

/// An S3 server over a folder, which can be away and come back.
struct Server {
    s3: S3Service,
    address: SocketAddr,
    gate: Arc<Gate>,
    serving: Option<JoinHandle<()>>,
}

/// Where a write can be held.
#[derive(Default)]
struct Gate {
    holds: AtomicBool,
    reached: Notify,
    opened: Notify,
}

impl Server {
    async fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("s3/evidence")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.join("s3")).unwrap());
        builder.set_auth(SimpleAuth::from_single("waybill", "secret"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { s3: builder.build(), address, gate: Arc::default(), serving: None };
        server.serve().await;
        server
    }

    /// What the chart's credentials Secret holds.
    fn settings(&self, secret: &str) -> Bucket {
        let endpoint = format!("http://{}", self.address);
        let settings = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "waybill"),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
    }

    /// From now on, where it was before.
    async fn serve(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (s3, gate) = (self.s3.clone(), Arc::clone(&self.gate));
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (s3, gate) = (s3.clone(), Arc::clone(&gate));
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (s3, gate) = (s3.clone(), Arc::clone(&gate));
                    async move {
                        if request.method() == hyper::Method::PUT && gate.holds.load(Ordering::SeqCst) {
                            gate.reached.notify_one();
                            gate.opened.notified().await;
                        }
                        Ok::<_, Infallible>(Service::call(&s3, request).await.unwrap())
                    }
                });
                connections.spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
    }

    /// Away, with all its connections.
    async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }
}

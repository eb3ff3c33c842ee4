use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::*;

#[tokio::test]
async fn what_is_put_is_there_until_it_is_removed_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let (one, other) = (Path::from("photos/d-1/a.jpg"), Path::from("photos/d-2/a.jpg"));
    let store = Store::open(&url).unwrap();
    assert_eq!(store.get(&one).await.unwrap(), None);
    store.put(&one, b"one".to_vec()).await.unwrap();
    store.put(&other, b"other".to_vec()).await.unwrap();
    drop(store);
    let store = Store::open(&url).unwrap();
    assert_eq!(store.get(&one).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.list(&Path::from("photos/d-1")).await.unwrap(), std::slice::from_ref(&one));
    assert_eq!(store.clear(&Path::from("photos/d-1")).await.unwrap(), 1);
    assert!(!store.has(&one).await.unwrap() && store.has(&other).await.unwrap());
    assert!(!store.delete(&one).await.unwrap() && store.delete(&other).await.unwrap());
}

#[tokio::test]
async fn what_an_unfinished_write_left_and_empty_folders_go() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let one = Path::from("photos/d-1/a.jpg");
    Store::open(&url).unwrap().put(&one, b"one".to_vec()).await.unwrap();
    let folder = dir.path().join("photos/d-1");
    for name in ["a.jpg#1", "b.jpg#23", "c#d.jpg", "e#"] {
        std::fs::write(folder.join(name), b"half").unwrap();
    }
    let store = Store::open(&url).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["a.jpg", "c#d.jpg", "e#"]);
    for name in ["c#d.jpg", "e#"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    assert!(store.delete(&one).await.unwrap());
    assert!(!folder.exists(), "a folder with nothing in it");
}

#[tokio::test]
async fn an_object_is_read_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("file://{}", dir.path().display())).unwrap();
    let (path, bytes) = (Path::from("photos/d-1/a.jpg"), vec![7; 100_000]);
    store.put(&path, bytes.clone()).await.unwrap();
    let (size, parts) = store.read(&path).await.unwrap().unwrap();
    let parts: Vec<Bytes> = parts.try_collect().await.unwrap();
    assert!(parts.len() > 1 && size == 100_000 && parts.concat() == bytes);
    assert!(store.read(&Path::from("photos/d-1/b.jpg")).await.unwrap().is_none());
}

#[test]
fn only_a_folder_or_a_bucket_is_a_place() {
    for url in ["", "photos", "ftp://x/y", "file://relative", "s3://", "s3:///prefix"] {
        assert!(matches!(Store::open(url), Err(OpenError::Url(_))), "{url}");
    }
    assert!(matches!(Store::open("file:///no/such/folder"), Err(OpenError::Folder { .. })));
}

#[test]
fn full_is_seen_through_every_wrapping() {
    let wrapped = |kind: io::ErrorKind| object_store::Error::Generic {
        store: "x",
        source: Box::new(io::Error::other(io::Error::from(kind))),
    };
    assert!(is_full(&wrapped(io::ErrorKind::StorageFull)));
    assert!(!is_full(&wrapped(io::ErrorKind::PermissionDenied)));
}

#[tokio::test]
async fn a_bucket_keeps_the_same_under_its_prefix() {
    let (endpoint, bucket) = bucket().await;
    let store = at(&endpoint);
    let path = Path::from("photos/d-1/a.jpg");
    assert_eq!(store.get(&path).await.unwrap(), None);
    store.put(&path, b"one".to_vec()).await.unwrap();
    assert_eq!(bucket.lock().unwrap().keys().collect::<Vec<_>>(), ["/evidence/shop/photos/d-1/a.jpg"]);
    assert_eq!(at(&endpoint).get(&path).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.list(&Path::from("photos/d-1")).await.unwrap(), std::slice::from_ref(&path));
    assert!(store.delete(&path).await.unwrap() && !store.has(&path).await.unwrap());
}

#[tokio::test]
async fn a_bucket_that_is_away_is_said_to_be() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let put = at(&format!("http://{closed}")).put(&Path::from("a"), Vec::new()).await;
    assert!(matches!(put, Err(Error::Failed { verb: "write", .. })), "{put:?}");
}

// === helpers: as much of S3 as is used, unsigned requests refused ===

type Bucket = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

fn at(endpoint: &str) -> Store {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = AmazonS3Builder::new().with_endpoint(endpoint).with_allow_http(true).with_bucket_name("evidence");
    Store::of_bucket(builder.with_access_key_id("id").with_secret_access_key("secret"), "shop").unwrap()
}

async fn bucket() -> (String, Bucket) {
    let bucket = Bucket::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().fallback(serve).with_state(Arc::clone(&bucket));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (endpoint, bucket)
}

async fn serve(State(bucket): State<Bucket>, RawQuery(query): RawQuery, request: Request) -> Response {
    if !request.headers().contains_key("authorization") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let mut bucket = bucket.lock().unwrap();
    match method {
        Method::PUT => {
            bucket.insert(path, body.to_vec());
            [("etag", "\"1\"")].into_response()
        }
        Method::GET if query.is_some_and(|query| query.contains("list-type")) => {
            let entry = |(key, bytes): (&String, &Vec<u8>)| {
                let key = key.trim_start_matches("/evidence/");
                let (size, time) = (bytes.len(), "2026-01-01T00:00:00.000Z");
                format!("<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{time}</LastModified></Contents>")
            };
            format!("<ListBucketResult>{}</ListBucketResult>", bucket.iter().map(entry).collect::<String>())
                .into_response()
        }
        Method::GET | Method::HEAD => match bucket.get(&path) {
            Some(bytes) => {
                ([("etag", "\"1\""), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")], bytes.clone()).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        // Removals come as a list of keys.
        _ => {
            let asked = String::from_utf8(body.to_vec()).unwrap();
            let keys = asked.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let remove = |key: &str| {
                bucket.remove(&format!("/evidence/{key}"));
                format!("<Deleted><Key>{key}</Key></Deleted>")
            };
            format!("<DeleteResult>{}</DeleteResult>", keys.map(remove).collect::<String>()).into_response()
        }
    }
}

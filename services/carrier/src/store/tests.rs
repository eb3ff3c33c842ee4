use super::*;

#[tokio::test]
async fn what_is_put_is_there_until_it_is_removed_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let (one, other) = (Path::from("photos/d-1/a.jpg"), Path::from("photos/d-2/a.jpg"));
    let store = open(&url).unwrap();
    assert_eq!(store.get(&one).await.unwrap(), None);
    store.put(&one, b"one".to_vec()).await.unwrap();
    store.put(&other, b"other".to_vec()).await.unwrap();
    drop(store);
    let store = open(&url).unwrap();
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
    open(&url).unwrap().put(&one, b"one".to_vec()).await.unwrap();
    let folder = dir.path().join("photos/d-1");
    for name in ["a.jpg#1", "b.jpg#23", "c#d.jpg", "e#"] {
        std::fs::write(folder.join(name), b"half").unwrap();
    }
    let store = open(&url).unwrap();
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
    let store = open(&format!("file://{}", dir.path().display())).unwrap();
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
        assert!(matches!(open(url), Err(OpenError::Url(_))), "{url}");
    }
    assert!(matches!(open("file:///no/such/folder"), Err(OpenError::Folder { .. })));
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

fn open(url: &str) -> Result<Store, OpenError> {
    Store::open(url, &Bucket::default())
}

//! A courier's screen: the agent's socket, as a script or a phone speaks to it.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use waybill_crds::delivery::LocationSharing;

use crate::place::{DEADLINE, Place};
use crate::plain::label;
use crate::shop::Wishes;
use crate::world::DELIVERY;

pub(crate) struct Screen(Client);

impl Screen {
    pub(crate) fn new(place: &Place) -> Self {
        // The client asks the process for one, though it speaks no TLS here.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self(Client::builder().unix_socket(place.at("taps.sock")).build().unwrap())
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> (u16, Value) {
        let ask = || self.0.request(method.clone(), format!("http://agent{path}")).body(body.clone()).send();
        let answered = async {
            loop {
                match ask().await {
                    Ok(answer) => return answer,
                    // Not listening yet.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                }
            }
        };
        let answer = tokio::time::timeout(DEADLINE, answered).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn picture(&self, path: &str, body: Vec<u8>) -> Vec<u8> {
        let answer = self.0.post(format!("http://agent{path}")).body(body).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "image/png");
        answer.bytes().await.unwrap().into()
    }

    async fn tap(&self, tap: Value) -> (u16, Value) {
        self.ask(Method::POST, &format!("/deliveries/{DELIVERY}/taps"), tap.to_string().into_bytes()).await
    }

    /// Waits until this can be tapped, and taps it.
    pub(crate) async fn tap_when(&self, name: &str, tap: Value) -> Value {
        let view = self.until(&format!("{name} can be tapped"), |view| list(view, "taps").contains(&name.into())).await;
        let (status, answer) = self.tap(tap).await;
        assert_eq!(status, 200, "{name}: {answer}");
        view
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let wait = async {
            loop {
                let (_, view) = self.ask(Method::GET, &format!("/deliveries/{DELIVERY}"), Vec::new()).await;
                if holds(&view) {
                    return view;
                }
                last = view;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(view) => view,
            Err(_) => panic!("never came: {what}; {last}"),
        }
    }
}

fn list(view: &Value, name: &str) -> Vec<Value> {
    view[name].as_array().cloned().unwrap_or_default()
}

fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let door = image::RgbImage::from_fn(320, 240, |x, y| image::Rgb([x as u8, y as u8, 90]));
    image::DynamicImage::from(door).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_56_a_courier_taps_scans_photographs_and_delivers_through_the_socket() {
    let mut place = Place::new().await;
    let wishes = Wishes { location: LocationSharing::Exact, ..Wishes::with_camera() };
    place.opens(DELIVERY, wishes);
    let socket = place.at("taps.sock");
    place.flags = ["--camera", "true", "--taps", socket.to_str().unwrap()].map(str::to_owned).to_vec();
    place.start();
    let screen = Screen::new(&place);
    let view = screen.tap_when("pickedUp", json!({"tap": "pickedUp"})).await;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((view["upc"].as_str(), view["attempt"].as_u64()), (Some("UPC_1"), Some(1)));
    let view = screen.tap_when("arrived", json!({"tap": "arrived"})).await;
    assert_eq!(view["address"]["country"]["city"], "MARKER-city");
    assert!(view["address"].get("door").is_none());
    let position = json!({"latitude": 52.1, "longitude": 4.3, "accuracy": 9}).to_string().into_bytes();
    assert_eq!(screen.ask(Method::PUT, "/position", position).await.0, 204);
    screen.until("a scan is due", |view| view["scan"]["due"] == true).await;
    let (status, refused) = screen.tap(json!({"tap": "arrived"})).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("ScanFirst")), "{refused}");
    let scan = format!("/deliveries/{DELIVERY}/scan");
    assert_eq!(screen.ask(Method::POST, &scan, b"no picture".to_vec()).await.0, 415);
    let (status, view) = screen.ask(Method::POST, &scan, picture()).await;
    assert_eq!((status, &view["scan"]["tries"], &view["scan"]["due"]), (200, &json!(1), &json!(true)));
    let (status, view) = screen.ask(Method::POST, &scan, label(DELIVERY).bytes.0).await;
    assert_eq!((status, &view["scan"]["due"]), (200, &json!(false)), "{view}");
    screen.until("the door", |view| view["address"]["door"]["doorNumber"] == "MARKER-door").await;
    assert_eq!(screen.tap(json!({"tap": "delivered"})).await.1["code"], "PhotoFirst");
    let photo = screen.ask(Method::PUT, &format!("/deliveries/{DELIVERY}/photo"), picture()).await;
    assert_eq!(photo.0, 200, "{}", photo.1);
    let challenge = json!({"challenge": "k7qf 2m9x"}).to_string().into_bytes();
    let (_, told) = screen.ask(Method::POST, &format!("/deliveries/{DELIVERY}/digits"), challenge.clone()).await;
    assert_eq!(told["digits"].as_str().map(str::len), Some(6), "{told}");
    let picture = screen.picture(&format!("/deliveries/{DELIVERY}/code"), challenge).await;
    assert_eq!(waybill_transport::camera::codes(&picture).unwrap(), [told["code"].as_str().unwrap()]);
    screen.tap_when("delivered", json!({"tap": "delivered", "to": "neighbour"})).await;
    place.until_delivered(DELIVERY).await;
    let (_, open) = screen.ask(Method::GET, "/deliveries", Vec::new()).await;
    assert!(open["deliveries"].is_array(), "{open}");
    place.stop().await;
    let books = place.office().books();
    books.shops[DELIVERY].assert_clean();
    assert!(books.shops[DELIVERY].heard.contains(&"Position"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_or_not_open_is_said_and_changes_nothing() {
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes::plain());
    place.flags = vec!["--taps".into(), place.at("taps.sock").display().to_string()];
    place.start();
    let screen = Screen::new(&place);
    screen.until("handed over", |view| list(view, "taps").contains(&"pickedUp".into())).await;
    for wrong in [
        json!({"tap": "teleported"}),
        json!({"tap": "lost"}),
        json!({"tap": "lost", "reason": {"cause": "carrier", "what": "eaten"}}),
        json!({"tap": "pickedUp", "really": true}),
        json!([]),
    ] {
        let (status, answer) = screen.tap(wrong.clone()).await;
        assert_eq!((status, answer["status"].as_u64()), (400, Some(400)), "{wrong}: {answer}");
    }
    let nowhere = "/deliveries/dddddddd-0000-4000-8000-00000000dead";
    assert_eq!(screen.ask(Method::GET, nowhere, Vec::new()).await.0, 404);
    let bad = json!({"latitude": 91, "longitude": 0}).to_string().into_bytes();
    assert_eq!(screen.ask(Method::PUT, "/position", bad).await.0, 400);
    let (_, open) = screen.ask(Method::GET, "/deliveries", Vec::new()).await;
    assert_eq!(
        (open["deliveries"][0]["uid"].as_str(), open["deliveries"][0]["phase"].as_str()),
        (Some(DELIVERY), Some("Accepted"))
    );
    place.stop().await;
    assert_eq!(place.office().books().shops[DELIVERY].events(), ["Accepted", "HandedOver"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_never_takes_the_place_of_a_file() {
    let mut place = Place::new().await;
    std::fs::write(place.at("taps.sock"), "somebody's").unwrap();
    place.flags = vec!["--taps".into(), place.at("taps.sock").display().to_string()];
    place.start();
    let ended = place.ended().await.unwrap_err();
    assert!(matches!(ended, waybill_transport::Error::Taps(_)));
    assert_eq!(std::fs::read(place.at("taps.sock")).unwrap(), b"somebody's");
}

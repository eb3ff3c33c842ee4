//! What changes comes by itself, in order, once; and who was away too long is told so.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::room::{Room, SOON, in_room};

/// Somebody who listens.
struct Listener {
    answer: reqwest::Response,
    text: String,
}

/// One word of a stream.
#[derive(Debug, Default, PartialEq)]
struct Word {
    event: String,
    id: String,
    data: String,
}

impl Listener {
    async fn new(room: &Room, cookie: &str, query: &str, last: &str) -> Self {
        let request = room.http.get(format!("{}/events{query}", room.base)).header("cookie", cookie);
        let answer = request.header("last-event-id", last).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        Self { answer, text: String::new() }
    }

    /// The next word of this kind.
    async fn next(&mut self, kind: &str) -> Word {
        loop {
            while let Some((word, rest)) = self.text.split_once("\n\n") {
                let word = read(word);
                self.text = rest.to_owned();
                if word.event == kind {
                    return word;
                }
            }
            let part = timeout(SOON, self.answer.chunk()).await.expect("a word in time").unwrap().expect("it goes on");
            self.text += std::str::from_utf8(&part).unwrap();
        }
    }

    /// The rows of this UPC as they come, until one says `text`.
    async fn until(&mut self, upc: &str, text: &str) -> (Value, String) {
        loop {
            let word = self.next("rows").await;
            let rows: Vec<Value> = serde_json::from_str(&word.data).unwrap();
            let says =
                |row: &&Value| row["html"].as_str().is_some_and(|html| html.contains(upc) && html.contains(text));
            if let Some(row) = rows.iter().find(says) {
                return (row.clone(), word.id);
            }
        }
    }
}

fn read(text: &str) -> Word {
    let mut word = Word::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim_start();
        match name {
            "event" => word.event = value.into(),
            "id" => word.id = value.into(),
            "data" => word.data += value,
            _ => {}
        }
    }
    word
}

fn condition(message: &str) -> Value {
    json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "NoProgress", "message": message,
                           "lastTransitionTime": "2026-11-01T00:00:00Z"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_comes_by_itself_and_a_break_loses_none() {
    in_room("board-live", async |room| {
        let cookie = room.login("waybill-viewer").await;
        let mut listener = Listener::new(&room, &cookie, "", "").await;
        // A browser that names no place is told to look anew, and then follows.
        listener.next("resync").await;
        room.delivery("upc-1").await;
        let (row, _) = listener.until("upc-1", "Not begun").await;
        assert_eq!(row["lane"], "moving");
        room.status("upc-1", condition("nothing moves")).await;
        let (row, id) = listener.until("upc-1", "nothing moves").await;
        assert_eq!(row["lane"], "attention");
        let counts: Value = serde_json::from_str(&listener.next("counts").await.data).unwrap();
        assert_eq!(counts, json!({"all": 1, "attention": 1, "moving": 0, "done": 0}));
        drop(listener);

        room.status("upc-1", condition("still nothing")).await;
        let mut again = Listener::new(&room, &cookie, "", &id).await;
        again.until("upc-1", "still nothing").await;
        let mut lost = Listener::new(&room, &cookie, "", "00000000-7").await;
        lost.next("resync").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_nothing_it_may_not_see_and_of_nothing_it_filters_out() {
    in_room("board-live-rights", async |room| {
        let cookie = room.login("waybill-viewer").await;
        let mut searching = Listener::new(&room, &cookie, "?q=upc-2", "").await;
        let blind = room.login("default").await;
        let mut unseeing = Listener::new(&room, &blind, "", "").await;
        searching.next("resync").await;
        unseeing.next("resync").await;
        room.delivery("upc-1").await;
        room.delivery("upc-2").await;
        // A row that does not fit comes as one to take away, without a word of what it is.
        searching.until("upc-2", "upc-2").await;
        assert!(!searching.text.contains(">upc-1<"));
        // A board that ends lets everybody go: what was heard until then is all there is.
        room.shutdown.cancel();
        while let Ok(Some(part)) = timeout(SOON, unseeing.answer.chunk()).await.expect("it ends") {
            unseeing.text += std::str::from_utf8(&part).unwrap();
        }
        assert!(!unseeing.text.contains("upc-") && !unseeing.text.contains("rows"), "{}", unseeing.text);
    })
    .await;
}

//! What the agent says about its work: everything but whom it is for.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::place::Place;
use crate::plain::label;
use crate::shop::Wishes;
use crate::world::DELIVERY;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Buffer {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_81_no_word_of_an_address_is_in_any_line_at_any_level() {
    let buffer = Buffer::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(buffer.clone());
    subscriber.try_init().unwrap();
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes { label: Some(label(DELIVERY)), ..Wishes::with_camera() });
    place.flags = ["--camera", "true", "--script", r#"[{"outcome":"attemptFailed"}]"#].map(str::to_owned).to_vec();
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    tracing::info!("PLANTED");
    let text = String::from_utf8_lossy(&buffer.0.lock().unwrap()).into_owned();
    assert!(text.contains("PLANTED") && text.contains("link is up"), "the net catches what is there");
    assert_eq!(text.lines().find(|line| line.contains("MARKER")), None);
}

//! Signals need a process of their own: this test binary, called again for the one test that waits for them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use waybill_chassis::shutdown;

/// What a shell reports for a process ended by an interrupt.
const INTERRUPTED: i32 = 130;

#[test]
fn the_first_signal_asks_and_the_second_insists() {
    for (first, second) in [("-TERM", "-TERM"), ("-INT", "-TERM")] {
        let this = std::env::current_exe().unwrap();
        let call = ["--exact", "signals::waits_for_signals", "--ignored", "--nocapture"];
        let mut child = Ended(Command::new(this).args(call).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("listening")));
        signal(&child.0, first);
        assert!(lines.any(|line| line.ends_with("asked to end")));
        signal(&child.0, second);
        assert_eq!(child.0.wait().unwrap().code(), Some(INTERRUPTED));
    }
}

#[tokio::test]
#[ignore = "the other half of the test above: it never ends by itself"]
async fn waits_for_signals() {
    let asked = shutdown::on_signal().unwrap();
    println!("listening");
    asked.cancelled().await;
    println!("asked to end");
    std::future::pending().await
}

// === helpers ===

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

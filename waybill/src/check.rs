//! Asks readiness pages until all answer 200, for `helm test` and for people: the image has no shell and no curl.
//!
//! Plain HTTP only, as probes are; nothing but the status line is read.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);

/// What to ask, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages to ask, such as http://waybill-operator.waybill-system.svc:8080/readyz
    #[arg(required = true)]
    urls: Vec<String>,

    /// Seconds in which all must have answered 200
    #[arg(long, default_value_t = 60)]
    within: u64,
}

/// Why a page is not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read {0:?}: want http://host:port/path")]
    Url(String),
    #[error("failed to reach {url}")]
    Unreachable {
        url: String,
        #[source]
        source: io::Error,
    },
    #[error("{url} answers {status:?}")]
    Unwell { url: String, status: String },
}

/// Returns once every page has answered 200, or what the first that did not answered last.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let end = Instant::now() + Duration::from_secs(args.within);
    for url in &args.urls {
        while let Err(error) = ask(url) {
            if matches!(error, Error::Url(_)) || Instant::now() >= end {
                return Err(error);
            }
            sleep(BETWEEN_LOOKS);
        }
        println!("{url} is well");
    }
    Ok(())
}

fn ask(url: &str) -> Result<(), Error> {
    let bad = || Error::Url(url.to_owned());
    let (authority, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(bad)?;
    authority.rsplit_once(':').ok_or_else(bad)?;
    let status = status_line(authority, path).map_err(|source| Error::Unreachable { url: url.to_owned(), source })?;
    match status.split_ascii_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ => Err(Error::Unwell { url: url.to_owned(), status }),
    }
}

fn status_line(authority: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Answers each connection with the next of these status lines.
    fn page(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/readyz", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().expect("a caller");
                let mut asked = BufReader::new(&stream).lines();
                while asked.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                (&stream).write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).expect("it listens");
            }
        });
        url
    }

    #[test]
    fn a_page_that_becomes_ready_is_well() {
        let url = page(&["503 Service Unavailable", "200 OK"]);
        run(&Args { urls: vec![url], within: 60 }).expect("it became ready");
    }

    #[test]
    fn one_page_that_stays_unready_fails_the_check_and_is_named() {
        let (well, unwell) = (page(&["200 OK"]), page(&["503 Service Unavailable"]));
        let error = run(&Args { urls: vec![well, unwell.clone()], within: 0 }).expect_err("one is unready");
        assert_eq!(error.to_string(), format!("{unwell} answers \"HTTP/1.1 503 Service Unavailable\""));
    }

    #[test]
    fn what_is_no_plain_address_is_refused_at_once() {
        for url in ["https://waybill/readyz", "http://waybill/readyz", "waybill:8080"] {
            let error = run(&Args { urls: vec![url.into()], within: 60 }).expect_err("no address");
            assert!(matches!(error, Error::Url(_)), "{error}");
        }
    }
}

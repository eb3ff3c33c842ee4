//! Logs: one subscriber a process, JSON for machines or text for people, filtered by flag or environment.
//!
//! Trust: error texts come from libraries and peers, so [`report`] prints a whole chain on one short line and masks
//! what looks like key material or a token. That is a net below the rule that secrets never enter an error at all.

use std::error::Error as StdError;
use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How a process logs.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Log filter: a level, or directives such as `info,waybill_operator=debug`
    #[arg(long = "log", env = "WAYBILL_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,

    /// Log format
    #[arg(long = "log-format", env = "WAYBILL_LOG_FORMAT", default_value = "json", value_name = "FORMAT")]
    pub format: LogFormat,
}

/// The two ways a line may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// Plain text for a terminal
    Text,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to parse log filter {filter:?}")]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("failed to install the log subscriber: one is installed already")]
    Installed,
}

/// Installs the process-wide subscriber and a panic hook that logs where, never what: a panic message may quote data.
pub fn init(args: &LogArgs) -> Result<(), Error> {
    let filter = EnvFilter::try_new(directives(&args.filter))
        .map_err(|source| Error::Filter { filter: args.filter.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match args.format {
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    installed.map_err(|_| Error::Installed)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
    Ok(())
}

/// A client library logs each failed request as an error of its own before handing it to whoever asked, who waits it
/// out or reports it: once is enough, unless someone wants that very module.
fn directives(filter: &str) -> String {
    const TWICE: &str = "kube_client::client::builder";
    if filter.contains("kube_client") { filter.to_owned() } else { format!("{filter},{TWICE}=off") }
}

/// Shows an error and its sources as `outer: inner: innermost` on one bounded line, with secrets-like runs masked.
pub fn report<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + 'a {
    Report(error)
}

struct Report<'a>(&'a (dyn StdError + 'static));

/// Longest line an error may become; a server's whole answer does not belong in a log.
const MAX_REPORT: usize = 600;

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            source = error.source();
        }
        f.write_str(&redact(&line))
    }
}

/// Masks long base64-like runs (keys, tokens, certificates), flattens control characters and cuts at a bounded length.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_REPORT));
    for (index, word) in text.split_inclusive(is_boundary).enumerate() {
        let (run, end) = match word.char_indices().next_back() {
            Some((at, last)) if is_boundary(last) => word.split_at(at),
            _ => (word, ""),
        };
        if out.len() + run.len() > MAX_REPORT && index > 0 {
            out.push('…');
            break;
        }
        out.push_str(if looks_secret(run) { "[redacted]" } else { run });
        out.push_str(if end.chars().any(char::is_control) { " " } else { end });
    }
    match out.char_indices().nth(MAX_REPORT) {
        Some((at, _)) => out[..at].to_owned() + "…",
        None => out,
    }
}

fn is_boundary(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-'))
}

/// Forty characters are what 30 random bytes need in base64. Paths, and names in lower case, are not random.
fn looks_secret(run: &str) -> bool {
    run.len() >= 40 && !run.starts_with('/') && run.bytes().any(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open door")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("key\nis bent")]
    struct Inner;

    #[test]
    fn a_chain_becomes_one_line() {
        assert_eq!(report(&Outer(Inner)).to_string(), "failed to open door: key is bent");
    }

    #[test]
    fn key_material_and_tokens_are_masked() {
        let key = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
        let masked = redact(&format!("bad key {key}: refused"));
        assert_eq!(masked, "bad key [redacted]: refused");
        let token = format!("eyJhbGciOiJFZERTQSJ9.{key}.{key}");
        assert!(!redact(&token).contains(key));
    }

    #[test]
    fn a_filter_is_what_was_asked_for_and_says_nothing_twice() {
        assert_eq!(directives("info"), "info,kube_client::client::builder=off");
        assert_eq!(directives("info,kube_client=debug"), "info,kube_client=debug");
        for filter in ["", "info", "warn,waybill_seller=trace", "off"] {
            assert!(EnvFilter::try_new(directives(filter)).is_ok(), "{filter:?}");
        }
    }

    #[test]
    fn names_and_paths_stay_readable() {
        for plain in [
            "secret wb-seller-a-rather-long-merchant-name-of-forty-char-tls not found",
            "/var/run/secrets/kubernetes.io/serviceaccount/Token missing",
        ] {
            assert_eq!(redact(plain), plain);
        }
    }

    #[test]
    fn an_endless_message_is_cut() {
        assert!(redact(&"no end ".repeat(10_000)).len() < MAX_REPORT + 8);
        assert!(redact(&"ü".repeat(10_000)).chars().count() <= MAX_REPORT + 1);
    }
}

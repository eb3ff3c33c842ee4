//! One notice to the recipient: an e-mail by SMTP with a link to follow the parcel.
//!
//! The address comes from the order and goes to the mail server and nowhere else: no error of a mail server is told in its own words, because
//! they quote it.

use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use waybill_crds::seller::{Mail, MailTls};

use super::notice::Notice;
use super::queue::Outcome;
use crate::orders::Private;

const PATIENCE: Duration = Duration::from_secs(20);
/// Codes of a server that does not let the sender in: the password is mended, not the message given up.
const NOT_LET_IN: [&str; 4] = ["530", "534", "535", "538"];

/// A way to the mail server.
pub(super) type Server = AsyncSmtpTransport<Tokio1Executor>;

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("ca.crt in its Secret is no certificate")]
    Authority,
    #[error("username or password is missing in its Secret")]
    Credentials,
    #[error("its name has no place in a certificate")]
    Tls,
}

/// What a Secret holds for it.
#[derive(Default)]
pub(super) struct Access {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) authority: Option<Vec<u8>>,
}

/// `Auto-Submitted` (RFC 3834): nobody's holiday note answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

pub(super) fn server(mail: &Mail, access: &Access) -> Result<Server, Error> {
    let mut tls = TlsParameters::builder(mail.host.clone());
    if let Some(pem) = &access.authority {
        tls = tls.add_root_certificate(Certificate::from_pem(pem).map_err(|_| Error::Authority)?);
    }
    let tls = match mail.tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(tls.build_rustls().map_err(|_| Error::Tls)?),
        MailTls::Tls => Tls::Wrapper(tls.build_rustls().map_err(|_| Error::Tls)?),
    };
    // "Dangerous" because it has no TLS until the next line says which.
    let builder = Server::builder_dangerous(&mail.host).tls(tls);
    let builder = builder.port(u16::try_from(mail.port).unwrap_or_default()).timeout(Some(PATIENCE));
    Ok(match (&access.username, &access.password) {
        (Some(name), Some(password)) => builder.credentials(Credentials::new(name.clone(), password.clone())),
        (None, None) => builder,
        _ => return Err(Error::Credentials),
    }
    .build())
}

/// What recipients are told of a phase; none of those that mean nothing to them.
pub(super) fn words(phase: &str) -> Option<(&'static str, &'static str)> {
    Some(match phase {
        "Accepted" => ("has a carrier", "A carrier has agreed to bring your parcel."),
        "PickedUp" => ("is on its way", "The carrier has picked your parcel up."),
        "InTransit" => ("is in transit", "Your parcel is in transit."),
        "OutForDelivery" => ("is out for delivery", "Your parcel is out for delivery."),
        "AvailableForPickup" => ("is ready to be fetched", "Your parcel is where you can fetch it."),
        "Delivered" => ("was delivered", "Your parcel was delivered."),
        "AttemptFailed" => ("could not be delivered", "An attempt to deliver your parcel failed."),
        "Rescheduled" => ("will be tried again", "There will be another attempt to deliver your parcel."),
        "OnHold" => ("waits", "Your parcel is held up for the moment."),
        "Refused" => ("was not taken", "Your parcel was refused at the door."),
        "Damaged" => ("was damaged", "Your parcel was reported damaged."),
        "Lost" => ("was lost", "Your parcel was reported lost."),
        "ReturnToSender" => ("goes back", "Your parcel is on its way back to the sender."),
        "Returned" => ("is back", "Your parcel is back with the sender."),
        "Cancelled" => ("was called off", "The delivery of your parcel was called off."),
        _ => return None,
    })
}

/// Those recipients are written to about, unless the Seller says otherwise.
pub(super) const USUAL: [&str; 9] = [
    "PickedUp",
    "OutForDelivery",
    "AvailableForPickup",
    "Delivered",
    "AttemptFailed",
    "Rescheduled",
    "Lost",
    "ReturnToSender",
    "Cancelled",
];

fn text(notice: &Notice, said: &str, link: Option<&Private>) -> String {
    let follow = link.map_or_else(String::new, |link| {
        format!(
            "\r\nFollow it, check the courier at the door, and find the code that proves that you got it:\r\n{}\r\n\
             The link is for you alone. Whoever has it sees what you see.\r\n",
            link.expose()
        )
    });
    format!("{said}\r\n{follow}\r\nParcel {}\r\n", notice.upc)
}

/// The message; none where it could not be addressed.
fn message(notice: &Notice, (from, to): (&str, &str), seller: &str, link: Option<&Private>) -> Option<Message> {
    let (short, said) = words(notice.phase)?;
    let (from, to): (Mailbox, Mailbox) = (from.parse().ok()?, to.trim().parse().ok()?);
    let id = format!("<{}@{}>", notice.id, from.email.domain());
    let builder: MessageBuilder = Message::builder().from(from).to(to).message_id(Some(id)).header(AutoSubmitted);
    let builder = builder.header(ContentType::TEXT_PLAIN);
    builder.subject(format!("Your parcel from {seller} {short}")).body(text(notice, said, link)).ok()
}

/// Sends it.
pub(super) async fn tell(
    server: &Server,
    notice: &Notice,
    addresses: (&str, &str),
    (seller, link): (&str, Option<&Private>),
) -> Outcome {
    let Some(message) = message(notice, addresses, seller, link) else {
        return Outcome::Never { why: "an address in it, or `from`, is none".into() };
    };
    match tokio::time::timeout(PATIENCE * 2, server.send(message)).await {
        Ok(Ok(_)) => Outcome::Told,
        Ok(Err(error)) => refused(&error),
        Err(_) => Outcome::Later { why: "did not answer in time".into(), away: true, after: None },
    }
}

/// Only its code: its words may name the recipient.
fn refused(error: &lettre::transport::smtp::Error) -> Outcome {
    let Some(code) = error.status().map(|code| code.to_string()) else {
        let why = if error.is_tls() { "shows a certificate that does not count" } else { "could not be reached" };
        return Outcome::Later { why: why.into(), away: true, after: None };
    };
    let why = format!("answered with {code}");
    if error.is_permanent() && !NOT_LET_IN.contains(&code.as_str()) {
        return Outcome::Never { why };
    }
    Outcome::Later { why, away: false, after: None }
}

#[cfg(test)]
mod tests {
    use waybill_crds::Phase;

    use super::*;

    #[test]
    fn there_are_words_for_every_phase_but_the_first() {
        for phase in Phase::ALL {
            assert_eq!(words(phase.as_str()).is_some(), phase != Phase::Pending, "{phase}");
        }
        assert!(USUAL.iter().all(|phase| words(phase).is_some()));
    }

    #[test]
    fn a_message_says_the_same_id_each_time_and_nobody_answers_it_by_itself() {
        let notice = Notice::of("d-1", 3);
        let link = Private::new("https://board.example/track#shop.d-1.SECRET".into());
        let made = message(&notice, ("Acme <a@acme.example>", "jane@example.com"), "acme", Some(&link)).unwrap();
        let text = String::from_utf8(made.formatted()).unwrap();
        for part in ["Message-ID: <d-1-3@acme.example>", "Auto-Submitted: auto-generated", "track#shop.d-1.SECRET"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(message(&notice, ("a@acme.example", "not an address"), "acme", None).is_none());
        let injected = "jane@example.com\r\nBcc: all@example.com";
        assert!(message(&notice, ("a@acme.example", injected), "acme", None).is_none());
    }
}

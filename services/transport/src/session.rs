//! The agent's one session at the broker: as whom and where follow from its certificate and the published address, and
//! a change of either begins a new one. A renewed certificate alone moves the session without ending it for good.

use std::pin::pin;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::Files;
use waybill_chassis::probes::Gate;
use waybill_chassis::tls::Material;
use waybill_link::{Inbox, Link, LinkMetrics, Message, Settings, SettingsError};
use waybill_protocol::{NameError, TopicFilter, Uid};

/// Why there is nobody to connect as, or nowhere to connect to.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Unready {
    /// The published trust names no broker, and no setting does.
    NoBroker,
    /// The certificate's name is no uid.
    NoUid,
    /// The address is not host:port.
    BadBroker,
}

impl Unready {
    /// As `/readyz` shows it.
    fn word(self) -> &'static str {
        match self {
            Self::NoBroker => "no broker address",
            Self::NoUid => "certificate without a uid",
            Self::BadBroker => "broker address is not host:port",
        }
    }
}

/// What a session is for: a new value ends the old session.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Purpose {
    uid: String,
    broker: String,
}

impl Purpose {
    /// Whom the certificate names, and where the broker is: a setting counts more than what is published.
    fn read(material: &Material, published: &Files, broker: Option<&str>) -> Result<Self, Unready> {
        let broker = broker.or_else(|| published.text("broker")).filter(|address| !address.is_empty());
        let broker = broker.ok_or(Unready::NoBroker)?.to_owned();
        Ok(Self { uid: material.holder().uid.clone(), broker })
    }

    /// A carrier's session: everything sellers send it, and nothing else.
    fn settings(&self) -> Result<Settings, Unready> {
        let filter = Uid::new(&self.uid).map(TopicFilter::ToCarrier).map_err(|_: NameError| Unready::NoUid)?;
        let settings = Settings::new(&self.broker, &self.uid).map_err(|_: SettingsError| Unready::BadBroker)?;
        Ok(settings.subscribe([filter.to_string()]))
    }
}

type Purposes = watch::Receiver<Result<Purpose, Unready>>;

/// The purpose as certificate and published address change.
pub(crate) fn purposes(
    mut material: watch::Receiver<Arc<Material>>,
    mut published: watch::Receiver<Arc<Files>>,
    broker: Option<String>,
) -> Purposes {
    let read = {
        let (material, published) = (material.clone(), published.clone());
        move || Purpose::read(&material.borrow(), &published.borrow(), broker.as_deref())
    };
    let (sender, receiver) = watch::channel(read());
    tokio::spawn(async move {
        loop {
            let alive = tokio::select! {
                changed = material.changed() => changed.is_ok(),
                changed = published.changed() => changed.is_ok(),
                () = sender.closed() => false,
            };
            if !alive {
                return;
            }
            sender.send_if_modified(|current| {
                let next = read();
                let new = *current != next;
                *current = next;
                new
            });
        }
    });
    receiver
}

/// What every session is made of.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) tls: watch::Receiver<Arc<ClientConfig>>,
    pub(crate) gate: Gate,
    pub(crate) link_metrics: LinkMetrics,
    pub(crate) ends: Ends,
}

/// Where a session's link and messages go.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The link of the session that is up, if one is.
    pub(crate) link: watch::Sender<Option<Link>>,
    /// Counts the times a session came up.
    pub(crate) connects: watch::Sender<u64>,
    pub(crate) messages: mpsc::Sender<Message>,
}

impl Sessions {
    /// Keeps a session up until `shutdown`.
    pub(crate) async fn run(self, mut purposes: Purposes, shutdown: CancellationToken) -> Result<(), SettingsError> {
        while !shutdown.is_cancelled() {
            let settings = purposes.borrow_and_update().clone().and_then(|purpose| purpose.settings());
            let end = shutdown.child_token();
            let mut session = pin!(self.session(settings, end.clone()));
            tokio::select! {
                ended = &mut session => ended?,
                changed = purposes.changed() => {
                    end.cancel();
                    session.await?;
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// One session, until told to end; without a purpose it waits for one.
    async fn session(&self, settings: Result<Settings, Unready>, end: CancellationToken) -> Result<(), SettingsError> {
        let settings = match settings {
            Ok(settings) => settings,
            Err(unready) => {
                self.gate.close(unready.word());
                end.cancelled().await;
                return Ok(());
            }
        };
        let (link, inbox, driver) = waybill_link::link(settings, self.tls.clone(), self.link_metrics.clone())?;
        tokio::select! {
            () = driver.run(end) => {}
            () = follow(&self.gate, link, &self.ends) => {}
            () = pass_on(inbox, &self.ends.messages) => {}
        }
        self.ends.link.send_replace(None);
        self.gate.close("disconnected");
        Ok(())
    }
}

async fn follow(gate: &Gate, link: Link, ends: &Ends) {
    let (mut connected, mut ready) = (link.connected(), link.ready());
    ends.link.send_replace(Some(link));
    gate.close("connecting");
    loop {
        let alive = tokio::select! {
            changed = connected.changed() => changed.map(|()| {
                let came_up = u64::from(*connected.borrow_and_update());
                ends.connects.send_modify(|times| *times += came_up);
            }),
            changed = ready.changed() => changed.map(|()| match *ready.borrow_and_update() {
                true => gate.open_as("connected"),
                false => gate.close("connecting"),
            }),
        };
        if alive.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Hands on what sellers send, in its order. Whoever takes it slowly slows the broker down, as it should.
async fn pass_on(mut inbox: Inbox, messages: &mpsc::Sender<Message>) {
    while let Some(message) = inbox.recv().await {
        if messages.send(message).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(name: &str) -> Material {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Material::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap()
    }

    fn published(broker: &str) -> Files {
        [("broker", broker.as_bytes().to_vec())].into_iter().collect()
    }

    #[test]
    fn the_certificate_says_as_whom_and_the_setting_counts_more_than_what_is_published() {
        let published = published(
            "published:8883
",
        );
        let purpose = Purpose::read(&material("uid-1"), &published, None).unwrap();
        assert_eq!(purpose, Purpose { uid: "uid-1".into(), broker: "published:8883".into() });
        let settings = purpose.settings().unwrap();
        assert_eq!((settings.host.as_str(), settings.port, settings.client_id.as_str()), ("published", 8883, "uid-1"));
        assert_eq!(settings.subscriptions, ["wb/+/uid-1/+/down"]);

        let set = Purpose::read(&material("uid-1"), &published, Some("set:1")).unwrap();
        assert_eq!(set.broker, "set:1");
    }

    #[test]
    fn what_cannot_be_connected_to_says_why() {
        let settings = |name: &str, broker: &str| {
            let read = Purpose::read(&material(name), &published(broker), None);
            read.and_then(|purpose| purpose.settings()).map(drop)
        };
        assert_eq!(settings("uid-1", ""), Err(Unready::NoBroker));
        assert_eq!(settings("uid-1", "nowhere"), Err(Unready::BadBroker));
        assert_eq!(settings("a/+/name", "b:1"), Err(Unready::NoUid));
        assert_eq!(settings("uid-1", "b:1"), Ok(()));
    }

    #[tokio::test]
    async fn a_new_identity_or_address_is_a_new_purpose_and_a_renewal_is_none() {
        let (certificate, leaf) = watch::channel(Arc::new(material("uid-1")));
        let (publish, files) = watch::channel(Arc::new(published("b:1")));
        let mut purposes = purposes(leaf, files, None);
        let read = |purposes: &mut Purposes| purposes.borrow_and_update().clone().unwrap();
        assert_eq!(read(&mut purposes).uid, "uid-1");

        certificate.send_replace(Arc::new(material("uid-1")));
        publish.send_replace(Arc::new(published("b:2")));
        purposes.changed().await.unwrap();
        assert_eq!(read(&mut purposes).broker, "b:2");
        assert!(!purposes.has_changed().unwrap());

        certificate.send_replace(Arc::new(material("uid-2")));
        purposes.changed().await.unwrap();
        assert_eq!(read(&mut purposes).uid, "uid-2");
    }
}

//! What the sidecar does at the broker's admin listener: take a session over, and a round trip as a probe.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, PublishOptions, QoS,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// More than a broker under load needs, less than a kubelet's patience.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the broker did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no way to the broker yet: certificates are missing")]
    NoWay,
    #[error("failed to set up the client")]
    Options(#[source] rumqttc::ClientBuildError),
    #[error("failed to speak with the broker")]
    Connection(#[source] Box<ConnectionError>),
    #[error("the broker refused the probe's topic")]
    Refused,
    #[error("the broker closed the connection before it answered")]
    Closed,
    #[error("the broker did not answer within {PATIENCE:?}")]
    Silent,
}

impl Error {
    /// True where nobody listens: then nobody has a session either.
    pub(crate) fn nobody_there(&self) -> bool {
        let Self::Connection(error) = self else { return false };
        matches!(&**error, ConnectionError::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// A way to the admin listener.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) addr: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Console {
    /// Ends the session of `uid`, if there is one: a client id has one session, and the newest connection gets it.
    pub(crate) async fn take_over(&self, uid: &str) -> Result<(), Error> {
        let (client, mut events) = self.client(uid)?;
        let work = async {
            until(&mut events, |packet| matches!(packet, Packet::ConnAck(_)).then_some(Ok(()))).await?;
            leave(&client, &mut events).await;
            Ok(())
        };
        timeout(PATIENCE, work).await.unwrap_or(Err(Error::Silent))
    }

    /// Subscribes, publishes, receives: everything a participant needs of the broker. Returns how long it took.
    pub(crate) async fn round_trip(&self) -> Result<Duration, Error> {
        // The access list gives each client the one topic that ends in its own id.
        let name = format!("probe-{:016x}", rand::random::<u64>());
        let (client, mut events) = self.client(&name)?;
        let topic = format!("wb/probe/{name}");
        let started = Instant::now();
        let work = async {
            client.try_subscribe(topic.as_str(), QoS::AtLeastOnce).map_err(|_| Error::Closed)?;
            until(&mut events, granted).await?;
            let publish = client.try_publish(topic.as_str(), name.clone(), PublishOptions::at_least_once());
            publish.map_err(|_| Error::Closed)?;
            until(&mut events, |packet| match packet {
                Packet::Publish(publish) => (publish.payload == name.as_bytes()).then_some(Ok(())),
                _ => None,
            })
            .await?;
            let took = started.elapsed();
            leave(&client, &mut events).await;
            Ok(took)
        };
        timeout(PATIENCE, work).await.unwrap_or(Err(Error::Silent))
    }

    fn client(&self, id: &str) -> Result<(AsyncClient, EventLoop), Error> {
        let addr = self.addr;
        let mut options = MqttOptions::new(id, Broker::tcp(&self.server_name, addr.port()));
        options
            .set_clean_session(true)
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&self.tls))))
            // The certificate has the Service's name; the listener is on loopback.
            .set_socket_connector(move |_, _| dial(addr));
        let (client, mut events) = AsyncClient::builder(options).try_build().map_err(Error::Options)?;
        let mut network = NetworkOptions::new();
        // Longer than ours, which says what happened.
        network.set_connection_timeout(PATIENCE.as_secs() + 1);
        events.set_network_options(network);
        Ok((client, events))
    }
}

async fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn granted(packet: &Packet) -> Option<Result<(), Error>> {
    let Packet::SubAck(granted) = packet else { return None };
    let refused = granted.return_codes.contains(&SubscribeReasonCode::Failure);
    Some(if refused { Err(Error::Refused) } else { Ok(()) })
}

async fn until(events: &mut EventLoop, done: impl Fn(&Packet) -> Option<Result<(), Error>>) -> Result<(), Error> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => {
                if let Some(result) = done(&packet) {
                    return result;
                }
            }
            Ok(Event::Outgoing(_)) => {}
            Err(ConnectionError::RequestsDone) => return Err(Error::Closed),
            Err(error) => return Err(Error::Connection(Box::new(error))),
        }
    }
}

/// Says goodbye. What goes wrong after the answer does not matter.
async fn leave(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect_now().is_ok() {
        while events.poll().await.is_ok() {}
    }
}

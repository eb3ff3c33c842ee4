//! One connection from CONNECT to its end. Nothing of it survives: the next connection is a new client.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AckMode, AsyncClient, Broker, ConnectionError, Event, EventLoop, ManualAck, MqttOptions, NetworkOptions, Packet,
    QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::inbox::Delivery;
use crate::settings::{MAX_PACKET, Settings};

/// How long a session that was asked to leave may take to hand over what is in flight.
pub(crate) const LEAVE: Duration = Duration::from_secs(2);

/// Unacknowledged messages of ours on the wire: enough to fill a loopback's or a continent's round trip.
const INFLIGHT: u16 = 100;

/// Requests written between two flushes; the larger, the fewer system calls under load.
const BATCH: usize = 64;

/// Why a connection ended unasked. Texts name no peer's data: a packet may hold anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    #[error("failed to set up the client")]
    Options(#[source] rumqttc::ClientBuildError),
    #[error("the broker refused the session: {0:?}")]
    Refused(rumqttc::ConnectReturnCode),
    #[error("the broker refused the subscription {filter}")]
    Subscription { filter: String },
    #[error("the broker sent a packet larger than {limit} bytes", limit = MAX_PACKET)]
    Oversized,
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the broker broke the protocol")]
    Protocol,
    #[error("the broker closed the connection")]
    Closed,
    #[error("failed to connect or to keep the connection")]
    Connection(#[source] Box<ConnectionError>),
    #[error("the client failed")]
    Failed,
}

/// What a session needs beside its settings.
pub(crate) struct Parts {
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) delivery: Delivery,
    /// Gets the client once the session is up and subscribed.
    pub(crate) up: oneshot::Sender<AsyncClient>,
    /// Cancelled to end the session in good order.
    pub(crate) leave: CancellationToken,
}

/// Runs one session to its end: `Ok` when it was asked to leave.
pub(crate) async fn run(settings: Arc<Settings>, parts: Parts) -> Result<(), Lost> {
    let (client, events) = client(&settings, &parts.tls)?;
    let (acks, returned) = mpsc::unbounded_channel();
    let pump = Pump { settings, client: client.clone(), delivery: parts.delivery, up: Some(parts.up), acks };
    // Acknowledgements wait for room in the client's queue, so they have a future of their own beside the poll loop.
    tokio::select! {
        end = pump.run(events, parts.leave) => end,
        () = acknowledge(client, returned) => Err(Lost::Failed),
    }
}

async fn acknowledge(client: AsyncClient, mut returned: mpsc::UnboundedReceiver<ManualAck>) {
    while let Some(ack) = returned.recv().await {
        if client.manual_ack(ack).await.is_err() {
            return;
        }
    }
}

fn client(settings: &Settings, tls: &Arc<rustls::ClientConfig>) -> Result<(AsyncClient, EventLoop), Lost> {
    let (host, port) = (settings.host.clone(), settings.port);
    let mut options = MqttOptions::new(&settings.client_id, Broker::tcp(&host, port));
    options
        .set_clean_session(true)
        .set_keep_alive(whole_seconds(settings.keep_alive))
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        .set_inflight(INFLIGHT)
        .set_max_request_batch(BATCH)
        .set_ack_mode(AckMode::Manual)
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))))
        // Dialled here because the client's own way of joining host and port knows no IPv6 literal.
        .set_socket_connector(move |_, _| dial(host.clone(), port));
    let built = AsyncClient::builder(options).capacity(settings.outbox).try_build();
    let (client, mut events) = built.map_err(Lost::Options)?;
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(settings.connect_timeout.as_secs());
    events.set_network_options(network);
    Ok((client, events))
}

async fn dial(host: String, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn whole_seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

/// The poll loop. It waits for the network and its clock, never for an owner.
struct Pump {
    settings: Arc<Settings>,
    client: AsyncClient,
    delivery: Delivery,
    /// Taken when it has been told.
    up: Option<oneshot::Sender<AsyncClient>>,
    acks: mpsc::UnboundedSender<ManualAck>,
}

impl Pump {
    async fn run(mut self, mut events: EventLoop, leave: CancellationToken) -> Result<(), Lost> {
        let mut leaving = false;
        let (began, mut heard) = (Instant::now(), Instant::now());
        loop {
            let patience = self.patience(began, heard);
            let polled = tokio::select! {
                biased;
                () = leave.cancelled(), if !leaving => {
                    leaving = true;
                    self.say_goodbye(&events)?;
                    continue;
                }
                polled = timeout_at(patience, events.poll()) => polled,
            };
            match polled {
                Err(_) => return Err(Lost::Silent(heard.elapsed())),
                Ok(Ok(Event::Incoming(packet))) => {
                    heard = Instant::now();
                    self.on(packet)?;
                }
                Ok(Ok(Event::Outgoing(_))) => {}
                Ok(Err(_)) if leaving => return Ok(()),
                Ok(Err(error)) => {
                    self.rescue(&mut events);
                    return Err(classify(error));
                }
            }
        }
    }

    /// The watchdog's hour: the client notices a half-open link only at its second unanswered ping, and not at all while
    /// it is stuck in a write. Until the session is up, pings answered are no sign of life: it must come up.
    fn patience(&self, began: Instant, heard: Instant) -> Instant {
        if self.up.is_some() { began + self.settings.connect_timeout * 2 } else { heard + self.settings.silence() }
    }

    /// Asks the client to drain and to send DISCONNECT; without a connection there is nobody to say it to.
    fn say_goodbye(&self, events: &EventLoop) -> Result<(), Lost> {
        if !events.diagnostics().connected {
            return Err(Lost::Closed);
        }
        self.client.try_disconnect_with_timeout(LEAVE / 2).map_err(|_| Lost::Closed)
    }

    fn on(&mut self, packet: Packet) -> Result<(), Lost> {
        match packet {
            Packet::ConnAck(_) if self.settings.subscriptions.is_empty() => self.announce(),
            Packet::ConnAck(_) => self.subscribe()?,
            Packet::SubAck(granted) => {
                self.granted(&granted.return_codes)?;
                self.announce();
            }
            Packet::Publish(publish) => {
                let ack = self.client.prepare_ack(&publish);
                self.delivery.arrived(publish, ack, &self.acks);
            }
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<(), Lost> {
        let filters = self.settings.subscriptions.iter();
        let filters = filters.map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|_| Lost::Failed)
    }

    /// The client checks that there is one code a filter; what the codes say is left to us.
    fn granted(&self, codes: &[SubscribeReasonCode]) -> Result<(), Lost> {
        let mut asked = self.settings.subscriptions.iter().zip(codes);
        match asked.find(|(_, code)| **code == SubscribeReasonCode::Failure) {
            Some((filter, _)) => Err(Lost::Subscription { filter: filter.clone() }),
            None => Ok(()),
        }
    }

    fn announce(&mut self) {
        if let Some(up) = self.up.take() {
            // Nobody listens when the driver is just leaving.
            let _ = up.send(self.client.clone());
        }
    }

    /// Messages read in the same breath as the error that ended the connection are still good.
    fn rescue(&self, events: &mut EventLoop) {
        while let Some(event) = events.state.events.pop_front() {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.delivery.arrived(publish, None, &self.acks);
            }
        }
    }
}

fn classify(error: ConnectionError) -> Lost {
    use rumqttc::Error as Decode;
    match error {
        ConnectionError::ConnectionRefused(code) => Lost::Refused(code),
        ConnectionError::NotConnAck(_) | ConnectionError::SessionStateMismatch { .. } => Lost::Protocol,
        ConnectionError::MqttState(StateError::Deserialization(Decode::PayloadSizeLimitExceeded { .. })) => {
            Lost::Oversized
        }
        ConnectionError::MqttState(StateError::Deserialization(Decode::Io(_))) => Lost::Closed,
        ConnectionError::MqttState(StateError::ConnectionAborted | StateError::Io(_)) => Lost::Closed,
        ConnectionError::MqttState(StateError::AwaitPingResp) => Lost::Closed,
        ConnectionError::MqttState(_) => Lost::Protocol,
        other => Lost::Connection(Box::new(other)),
    }
}

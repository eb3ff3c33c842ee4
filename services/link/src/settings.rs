//! Whom to connect to, as whom, and the limits both sides keep.

use std::time::Duration;

/// Largest payload a peer may send: far above a sealed 4 KiB address, far below what hurts a broker.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Longest topic: four path segments of 36 characters are 150; the rest is room to grow.
pub const MAX_TOPIC: usize = 512;

/// What a packet may weigh in either direction: payload, topic and the few bytes of MQTT's own header.
/// The broker's `max_packet_size` is the same figure.
pub(crate) const MAX_PACKET: usize = MAX_PAYLOAD + 1024;

/// One session's parameters. Build it with [`Settings::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name or address; the broker's certificate must carry it.
    pub host: String,
    pub port: u16,
    /// The identity's uid. Our broker forces it from the certificate whatever is asked.
    pub client_id: String,
    /// Topic filters, subscribed anew at every connection. All must be granted, or the connection counts as failed.
    pub subscriptions: Vec<String>,
    /// Silence after which the client pings, in whole seconds; a link is given up after one and a half of it.
    pub keep_alive: Duration,
    /// TCP, TLS and CONNACK together must be done in this time, in whole seconds.
    pub connect_timeout: Duration,
    /// Messages waiting for the owner. More than a broker's window of unacknowledged messages never wait.
    pub inbox: usize,
    /// Messages waiting for the wire: what `publish` may run ahead of the connection.
    pub outbox: usize,
}

/// Why an address or a limit makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("broker address {0:?} is not host:port")]
    Address(String),
    #[error("client id must not be empty")]
    NoClientId,
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

impl Settings {
    /// Settings for the broker at `address` (`host:port`, an IPv6 address in brackets) as `client_id`.
    pub fn new(address: &str, client_id: impl Into<String>) -> Result<Self, SettingsError> {
        let bad = || SettingsError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() || port == 0 {
            return Err(bad());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            client_id: client_id.into(),
            subscriptions: Vec::new(),
            keep_alive: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            inbox: 256,
            outbox: 64,
        })
    }

    /// The given topic filters instead.
    #[must_use]
    pub fn subscribe(mut self, filters: impl IntoIterator<Item = String>) -> Self {
        self.subscriptions = filters.into_iter().collect();
        self
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.client_id.is_empty() {
            return Err(SettingsError::NoClientId);
        }
        let counts = [
            ("keep_alive", self.keep_alive.as_secs() == 0),
            ("connect_timeout", self.connect_timeout.as_secs() == 0),
            ("inbox", self.inbox == 0),
            ("outbox", self.outbox == 0),
        ];
        counts.into_iter().find(|(_, zero)| *zero).map_or(Ok(()), |(name, _)| Err(SettingsError::Zero(name)))
    }

    /// How long nothing at all may arrive. A ping leaves after `keep_alive` without traffic of ours, and all we send is
    /// answered, so half a keep-alive more is the time an answer gets.
    pub(crate) fn silence(&self) -> Duration {
        self.keep_alive.mul_f64(1.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_form_are_understood() {
        for (address, host, port) in
            [("broker.ns.svc:8883", "broker.ns.svc", 8883), ("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:9", "::1", 9)]
        {
            let settings = Settings::new(address, "uid").unwrap();
            assert_eq!((settings.host.as_str(), settings.port), (host, port));
        }
        for address in ["", "broker", "broker:", "broker:0", ":8883", "broker:70000", "broker:8883/x"] {
            assert!(matches!(Settings::new(address, "uid"), Err(SettingsError::Address(_))), "{address}");
        }
    }

    #[test]
    fn limits_of_zero_are_refused_by_name() {
        let mut settings = Settings::new("broker:1", "uid").unwrap();
        settings.keep_alive = Duration::from_millis(500);
        assert_eq!(settings.check().unwrap_err().to_string(), "keep_alive must not be zero");
        let settings = Settings::new("broker:1", "").unwrap();
        assert!(matches!(settings.check(), Err(SettingsError::NoClientId)));
    }
}

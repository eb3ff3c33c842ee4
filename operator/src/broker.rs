//! Where the broker is, for each kind of client. Ours has a listener for each; another one has one address for all.

use crate::args::Args;

const CARRIERS: i32 = 8883;
const SELLERS: i32 = 8884;

/// `host:port` for Sellers.
pub(crate) fn for_sellers(settings: &Args) -> String {
    address(settings, SELLERS)
}

/// `host:port` for Carriers inside the cluster.
pub(crate) fn for_carriers(settings: &Args) -> String {
    address(settings, CARRIERS)
}

pub(crate) fn sellers_port(settings: &Args) -> i32 {
    port(settings, SELLERS)
}

pub(crate) fn carriers_port(settings: &Args) -> i32 {
    port(settings, CARRIERS)
}

fn address(settings: &Args, ours: i32) -> String {
    match external(settings) {
        Some((host, port)) => format!("{host}:{port}"),
        None => format!("{}:{ours}", settings.broker_host),
    }
}

fn port(settings: &Args, ours: i32) -> i32 {
    external(settings).map_or(ours, |(_, port)| port)
}

/// Host and port of `mqtts://host[:port]`, 8883 unless it says otherwise.
fn external(settings: &Args) -> Option<(&str, i32)> {
    let url = settings.broker_url.as_deref().filter(|url| !url.is_empty())?;
    let authority = url.strip_prefix("mqtts://").unwrap_or(url).trim_end_matches('/');
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => Some((host, port)),
        _ => Some((authority, CARRIERS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::settings;

    #[test]
    fn our_broker_has_a_listener_for_each_and_another_one_address_for_all() {
        let mut settings = settings();
        settings.broker_host = "waybill-broker.hub.svc".into();
        assert_eq!(for_sellers(&settings), "waybill-broker.hub.svc:8884");
        assert_eq!(for_carriers(&settings), "waybill-broker.hub.svc:8883");
        settings.broker_url = Some("mqtts://mq.example.com:9883/".into());
        assert_eq!((for_sellers(&settings), carriers_port(&settings)), ("mq.example.com:9883".into(), 9883));
        settings.broker_url = Some("mqtts://mq.example.com".into());
        assert_eq!(for_carriers(&settings), "mq.example.com:8883");
    }
}

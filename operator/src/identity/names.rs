//! Names that go into certificates, and the names of the Secrets they live in. Pure; the operator decides all of them, a CSR none.

use super::ledger::Kind;
use super::x509::{Names, Usage};

/// Secrets of one participant, or of the Carrier API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) tls: String,
    pub(crate) keys: String,
    pub(crate) label: Option<String>,
}

pub(crate) const CARRIER_API: &str = "waybill-carrier-api";

pub(crate) fn secrets(kind: Kind, name: &str) -> Secrets {
    let base = match kind {
        Kind::Seller => format!("wb-seller-{name}"),
        Kind::Carrier => format!("wb-carrier-{name}"),
        Kind::CarrierApi => CARRIER_API.to_owned(),
        Kind::Broker => "waybill-broker".to_owned(),
        Kind::Board => "waybill-board".to_owned(),
    };
    let label = (kind == Kind::Seller).then(|| format!("{base}-label"));
    Secrets { tls: format!("{base}-tls"), keys: format!("{base}-keys"), label }
}

pub(crate) fn usage(kind: Kind) -> Usage {
    match kind {
        Kind::Seller | Kind::CarrierApi => Usage::ServerAndClient,
        Kind::Carrier => Usage::Client,
        Kind::Broker | Kind::Board => Usage::Server,
    }
}

/// Who this is, as a URI: what peers check besides the uid.
pub(crate) fn spiffe(kind: Kind, namespace: &str, name: &str) -> String {
    let role = match kind {
        Kind::Seller => "seller",
        Kind::Carrier => "carrier",
        Kind::CarrierApi => "carrier-api",
        Kind::Broker => "broker",
        Kind::Board => "board",
    };
    format!("spiffe://waybill/{namespace}/{role}/{name}")
}

/// The names of a participant's leaf; a carrier serves nothing and has no DNS name.
pub(crate) fn participant(kind: Kind, namespace: &str, name: &str, external: &[String]) -> Names {
    let mut names = Names::default();
    names.uris.insert(spiffe(kind, namespace, name));
    let service = match kind {
        Kind::Seller => Some(format!("wb-seller-{name}")),
        Kind::CarrierApi => Some(CARRIER_API.to_owned()),
        Kind::Carrier | Kind::Broker | Kind::Board => None,
    };
    if let Some(service) = service {
        names.dns.extend(service_names(&service, namespace));
        names.dns.extend(external.iter().filter_map(|name| dns_name(name)));
    }
    names
}

/// The names of what the chart serves: its Service in every form a client may use, outside names, and the very machine for whoever
/// reaches it from beside or through a port that is passed on.
pub(crate) fn served(host: &str, external: &[String]) -> Names {
    let mut names = Names::default();
    let mut labels = host.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(service), Some(namespace), Some("svc")) => names.dns.extend(service_names(service, namespace)),
        _ => names.dns.extend(dns_name(host)),
    }
    for name in external {
        match name.trim().parse() {
            Ok(ip) => _ = names.ips.insert(ip),
            Err(_) => names.dns.extend(dns_name(name)),
        }
    }
    names.dns.insert("localhost".to_owned());
    names.ips.insert([127, 0, 0, 1].into());
    names
}

fn service_names(service: &str, namespace: &str) -> [String; 4] {
    [
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]
}

/// Lower case, no blanks, no scheme; what is not a host name is left out rather than signed.
fn dns_name(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    (name.len() <= 253 && labels.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_has_a_spiffe_name_and_no_host_name() {
        let names = participant(Kind::Carrier, "shop", "van-1", &["evil.example".into()]);
        assert!(names.dns.is_empty());
        assert_eq!(names.uris.into_iter().collect::<Vec<_>>(), ["spiffe://waybill/shop/carrier/van-1"]);
    }

    #[test]
    fn a_seller_is_reached_by_each_form_of_its_service() {
        let names = participant(Kind::Seller, "shop", "books", &[]);
        for form in ["", ".shop", ".shop.svc", ".shop.svc.cluster.local"] {
            assert!(names.dns.contains(&format!("wb-seller-books{form}")), "{form}");
        }
    }

    #[test]
    fn the_broker_is_known_by_service_outside_and_loopback_names() {
        let names = served(
            "waybill-broker.waybill-system.svc",
            &["Mqtt.Example.com ".into(), "192.0.2.7".into(), "a b".into()],
        );
        let dns: Vec<_> = names.dns.iter().map(String::as_str).collect();
        assert_eq!(
            dns,
            [
                "localhost",
                "mqtt.example.com",
                "waybill-broker",
                "waybill-broker.waybill-system",
                "waybill-broker.waybill-system.svc",
                "waybill-broker.waybill-system.svc.cluster.local"
            ]
        );
        assert_eq!(names.ips.len(), 2);
        assert!(served("mqtt.example.com", &[]).dns.contains("mqtt.example.com"));
    }
}

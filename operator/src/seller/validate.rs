//! A Seller's specification, read once into what the builders need. Pure.

use kube::ResourceExt;
use waybill_crds::seller::{Notify, url_is_allowed};
use waybill_crds::{Reason, Seller};

use crate::args::Args;
use crate::participant::Known;

/// A Seller whose specification is understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Valid {
    pub known: Known,
    pub orders: Orders,
    /// Whom it tells. Which hosts of these it may reach its own service says: it knows their names.
    pub notify: Option<Notify>,
}

impl Valid {
    pub(super) fn writes_mail(&self) -> bool {
        self.notify.as_ref().is_some_and(|notify| notify.mail.is_some())
    }
}

/// Where the orders are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Orders {
    Secrets(Vec<String>),
    Url(String),
    /// The `url` is none the chart allows; nothing is read.
    Refused {
        reason: Reason,
        message: String,
    },
}

pub(super) fn validate(seller: &Seller, known: Known, settings: &Args) -> Valid {
    Valid { known, orders: orders(seller, &settings.order_urls), notify: seller.spec.notify.clone() }
}

fn orders(seller: &Seller, allowed: &[String]) -> Orders {
    match (&seller.spec.url, &seller.spec.orders) {
        (Some(url), _) if url_is_allowed(url, allowed) => Orders::Url(url.clone()),
        (Some(url), _) => Orders::Refused {
            reason: Reason::OrdersUrlForbidden,
            message: format!(
                "{url} is not on the list of order systems: ask for `sellers.orderUrls` in the chart to name it, or use Secrets"
            ),
        },
        (None, Some(named)) => {
            let mut named = named.clone();
            named.sort();
            named.dedup();
            Orders::Secrets(named)
        }
        (None, None) => Orders::Secrets(vec![format!("orders-{}", seller.name_any())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, settings};

    fn served(seller: &Seller, settings: &Args) -> Valid {
        validate(seller, Known::of(seller).expect("it is stored"), settings)
    }

    #[test]
    fn a_seller_without_orders_reads_the_secret_of_its_name() {
        let seller = fixtures::seller("acme", false);
        assert_eq!(served(&seller, &settings()).orders, Orders::Secrets(vec!["orders-acme".into()]));
    }

    #[test]
    fn only_an_order_system_on_the_list_is_used() {
        let mut seller = fixtures::seller("acme", false);
        let mut settings = settings();
        settings.order_urls = vec!["https://orders.example.com/".into()];
        for (url, allowed) in [
            ("https://orders.example.com", true),
            ("https://orders.example.com/waybill", true),
            ("https://orders.example.com.evil/waybill", false),
            ("http://orders.example.com", false),
        ] {
            seller.spec.url = Some(url.into());
            let orders = served(&seller, &settings).orders;
            assert_eq!(orders == Orders::Url(url.into()), allowed, "{url}: {orders:?}");
        }
    }
}

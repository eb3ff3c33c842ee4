//! What a service says that it heard and dropped, from its own page of metrics.

use std::collections::BTreeMap;

/// Counters of one service at one moment: frames it took in, and those it refused, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Came from the broker into the owner's hands.
    pub(crate) received: u64,
    /// Opened, and believed.
    pub(crate) believed: u64,
    /// Not believed, by reason; `inbox` where the link had no room.
    pub(crate) dropped: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) async fn of(page: &str) -> Self {
        let text = reqwest::get(page).await.unwrap().text().await.unwrap();
        Self::read(&text)
    }

    /// A seller counts what it believed, an agent everything that came.
    fn read(text: &str) -> Self {
        let one = |name: &str| total(text, name).values().sum::<u64>();
        let mut dropped = total(text, "waybill_seller_messages_dropped_total");
        dropped.extend(total(text, "waybill_transport_dropped_total"));
        let refused: u64 = dropped.values().sum();
        let believed = match text.contains("waybill_seller_messages_heard_total") {
            true => one("waybill_seller_messages_heard_total"),
            false => one("waybill_transport_frames_heard_total").saturating_sub(refused),
        };
        let full = one("waybill_link_dropped_total");
        if full > 0 {
            dropped.insert("inbox".into(), full);
        }
        Self { received: one("waybill_link_received_total"), believed, dropped }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Everything that was decided about.
    pub(crate) fn decided(&self) -> u64 {
        self.believed + self.refused()
    }

    /// What was counted since then.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let was = |reason: &str| before.dropped.get(reason).copied().unwrap_or_default();
        let dropped = self.dropped.iter().map(|(reason, count)| (reason.clone(), count - was(reason)));
        Self {
            received: self.received - before.received,
            believed: self.believed.saturating_sub(before.believed),
            dropped: dropped.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// The samples of one counter by their only label; without one, by nothing.
fn total(text: &str, name: &str) -> BTreeMap<String, u64> {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| {
        let (labels, value) = rest.rsplit_once(' ')?;
        let reason = labels.split("reason=\"").nth(1).and_then(|rest| rest.split('"').next());
        Some((reason.unwrap_or_default().to_owned(), value.parse().ok()?))
    });
    samples.collect()
}

#[test]
fn both_services_pages_are_read() {
    let seller = "# HELP x\nwaybill_link_received_total 7\nwaybill_link_dropped_total 1\nwaybill_seller_messages_heard_total 2\n\
                  waybill_seller_messages_dropped_total{reason=\"open\"} 4\nwaybill_seller_messages_dropped_total{reason=\"frame\"} 1\n";
    let tally = Tally::read(seller);
    assert_eq!((tally.received, tally.believed, tally.refused(), tally.decided()), (7, 2, 6, 8));
    let agent = "waybill_link_received_total 5\nwaybill_transport_frames_heard_total 5\n\
                 waybill_transport_dropped_total{reason=\"open\"} 4\n";
    let tally = Tally::read(agent);
    assert_eq!((tally.believed, tally.refused()), (1, 4));
}

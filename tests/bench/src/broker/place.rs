//! One broker with its seller and its carriers, and what each thing done there costs the broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ClientConfig;

use super::client::Client;
use super::crowd::{Crowd, filter, uid};
use super::mosquitto::Mosquitto;
use super::pki::Authority;

const SELLER: &str = "00000000-0000-4000-9000-000000000000";
const DELIVERY: &str = "00000000-0000-4000-a000-000000000000";
/// As much as a sealed address weighs.
const PAYLOAD: usize = 1024;

pub(super) struct Place {
    pub(super) broker: Mosquitto,
    seller: Client,
    carriers: Crowd,
    /// The newest carrier is not in the crowd: it comes and goes.
    newest: usize,
    newcomer: Option<Client>,
    newcomers_keys: Arc<ClientConfig>,
    next_turn: usize,
    sent: usize,
    lost: usize,
}

impl Place {
    /// A broker with that many carriers connected, the newest last.
    pub(super) fn open(carriers: usize) -> Result<Self> {
        let authority = Authority::new("participants")?;
        let broker = Mosquitto::start(&authority)?;
        let up = format!("wb/{SELLER}/+/+/up");
        let seller = Client::join(broker.sellers, authority.client(SELLER)?, &up).context("the seller")?;
        let newest = carriers.saturating_sub(1);
        let crowd = Crowd::gather(broker.carriers, &authority, newest);
        let newcomers_keys = authority.client(&uid(newest))?;
        let mut place = Self {
            broker,
            seller,
            carriers: crowd,
            newest,
            newcomer: None,
            newcomers_keys,
            next_turn: 0,
            sent: 0,
            lost: 0,
        };
        place.newcomer = Some(place.join().context("the newest carrier")?);
        Ok(place)
    }

    pub(super) fn connected(&self) -> usize {
        self.carriers.connected() + usize::from(self.newcomer.is_some())
    }

    pub(super) fn broken(&self) -> usize {
        self.newest + 1 - self.connected()
    }

    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Messages that did not arrive, or were not acknowledged.
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    pub(super) fn newest(&self) -> usize {
        self.newest
    }

    pub(super) fn keep_alive(&mut self) {
        self.carriers.ping();
    }

    /// The newest carrier leaves and joins again, `times` times: microseconds each.
    pub(super) fn join_anew(&mut self, times: usize) -> Result<f64> {
        let before = self.broker.on_cpu()?;
        for _ in 0..times {
            if let Some(newcomer) = self.newcomer.take() {
                newcomer.leave()?;
            }
            self.newcomer = Some(self.join()?);
        }
        self.each(before, times)
    }

    /// Seller to carrier `i` and back, `times` times: microseconds a message.
    pub(super) fn exchange(&mut self, i: usize, times: usize) -> Result<f64> {
        let before = self.broker.on_cpu()?;
        for _ in 0..times {
            self.there_and_back(i)?;
        }
        self.each(before, times * 2)
    }

    /// The same with another carrier each time.
    pub(super) fn exchange_with_each(&mut self, times: usize) -> Result<f64> {
        let before = self.broker.on_cpu()?;
        for _ in 0..times {
            // Far from the last one: not what a cache has at hand.
            self.next_turn = (self.next_turn + 7) % self.newest.max(1);
            self.there_and_back(self.next_turn)?;
        }
        self.each(before, times * 2)
    }

    fn join(&self) -> Result<Client> {
        let address: SocketAddr = self.broker.carriers;
        Client::join(address, self.newcomers_keys.clone(), &filter(&uid(self.newest)))
    }

    fn there_and_back(&mut self, i: usize) -> Result<()> {
        let carrier = if i == self.newest { self.newcomer.as_mut() } else { self.carriers.get(i) };
        let topic = |way: &str| format!("wb/{SELLER}/{}/{DELIVERY}/{way}", uid(i));
        let mut payload = vec![0x5a; PAYLOAD];
        payload[..8].copy_from_slice(&(self.sent as u64).to_be_bytes());
        self.sent += 2;
        let Some(carrier) = carrier else {
            self.lost += 2;
            return Ok(());
        };
        self.seller.publish(&topic("down"), &payload)?;
        let came = carrier.receive(&topic("down"), &payload)?;
        carrier.publish(&topic("up"), &payload)?;
        let returned = self.seller.receive(&topic("up"), &payload)?;
        self.lost += usize::from(!came) + usize::from(!returned);
        Ok(())
    }

    /// Shares out what the broker spent since `before`, after a round trip: what it was asked before that is done.
    fn each(&mut self, before: Duration, times: usize) -> Result<f64> {
        self.lost += self.seller.ping()?;
        let spent = self.broker.on_cpu()?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / times.max(1) as f64)
    }
}

//! How much one caller may ask: so many requests a minute, told in every answer (`RateLimit`, `RateLimit-Policy` of the IETF's
//! draft-ietf-httpapi-ratelimit-headers; `429` with `Retry-After` beyond).
//!
//! A caller is its certificate, else what it shows (token or cookie, by hash), else its address. Trust: a caller that makes up credentials is a
//! new one each time; what such a crowd costs is bounded by the listener's places, and a credential that counts is slowed like any other.
//!
//! No lock, no list: a fixed table of numbers, one a slot, and a caller's slot follows from a hash whose key nobody knows. A number is the moment at
//! which its caller has its whole quota again (the generic cell rate algorithm). Two callers may meet in a slot and share it; that is rare, and nobody
//! can choose whom to meet.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::peer::Connection;
use crate::problem::{Problem, generic};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What nobody comes upon who means well: a thousand requests a second, for a minute on end.
pub const PER_MINUTE: u32 = 60_000;
/// The time a quota is for.
const WINDOW: u64 = 60_000_000_000;
/// Slots: half a megabyte.
const SLOTS: usize = 1 << 16;

/// The quota of each caller of one server.
#[derive(Debug)]
pub struct Limit {
    /// What one request takes of the window, in nanoseconds.
    cost: u64,
    policy: HeaderValue,
    slots: Box<[AtomicU64]>,
    hash: RandomState,
    begun: Instant,
}

/// The one setting.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct LimitArgs {
    /// Requests a minute that one caller may make (a certificate, a credential, or an address without either); 0 for no limit
    #[arg(long = "rate-limit", env = "WAYBILL_RATE_LIMIT", default_value_t = PER_MINUTE, value_name = "REQUESTS")]
    pub per_minute: u32,
}

impl Default for LimitArgs {
    fn default() -> Self {
        Self { per_minute: PER_MINUTE }
    }
}

/// What a caller has left, or how long it has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Within {
        left: u64,
        /// Seconds until the whole quota is there again.
        whole: u64,
    },
    Beyond {
        /// Seconds until one request is.
        wait: u64,
        whole: u64,
    },
}

impl Limit {
    /// So many requests a minute; `None` for no limit at all.
    pub fn per_minute(requests: u32) -> Option<Arc<Self>> {
        let cost = WINDOW.checked_div(requests.into())?;
        let policy = format!("\"default\";q={requests};w={}", WINDOW / 1_000_000_000);
        let policy = HeaderValue::try_from(policy).expect("digits and plain letters");
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Some(Arc::new(Self { cost, policy, slots, hash: RandomState::new(), begun: Instant::now() }))
    }

    fn slot(&self, request: &Request) -> &AtomicU64 {
        let connection = request.extensions().get::<Connection>();
        let hash = match connection.and_then(|connection| connection.peer.as_deref()) {
            Some(peer) => self.hash.hash_one((0, &peer.uid)),
            None => match credential(request.headers()) {
                Some(shown) => self.hash.hash_one((1, shown.as_bytes())),
                None => self.hash.hash_one((2, connection.and_then(|connection| connection.address).map(network))),
            },
        };
        // The lowest bits are as good as any.
        &self.slots[usize::try_from(hash & (SLOTS as u64 - 1)).unwrap_or_default()]
    }

    fn judge(&self, slot: &AtomicU64, now: u64) -> Judged {
        let mut whole_at = slot.load(Ordering::Relaxed);
        loop {
            let next = whole_at.max(now) + self.cost;
            let ahead = next - now;
            if ahead > WINDOW {
                return Judged::Beyond { wait: seconds(ahead - WINDOW), whole: seconds(ahead - self.cost) };
            }
            match slot.compare_exchange_weak(whole_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Judged::Within { left: (WINDOW - ahead) / self.cost, whole: seconds(ahead) },
                Err(moved) => whole_at = moved,
            }
        }
    }

    fn tell(&self, headers: &mut HeaderMap, (left, whole): (u64, u64)) {
        let mut text = String::with_capacity(40);
        let _ = write!(text, "\"default\";r={left};t={whole}");
        headers.insert(POLICY, self.policy.clone());
        headers.extend(HeaderValue::try_from(text).ok().map(|text| (LIMIT, text)));
    }
}

/// What a caller shows beside a certificate.
fn credential(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(header::AUTHORIZATION).or_else(|| headers.get(header::COOKIE))
}

/// Whoever has an address of version 6 has all of its network.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

/// Axum middleware: answers whoever is beyond its quota, and tells all others how much is left.
pub async fn within(State(limit): State<Option<Arc<Limit>>>, request: Request, next: Next) -> Response {
    let Some(limit) = limit else { return next.run(request).await };
    let now = u64::try_from(limit.begun.elapsed().as_nanos()).unwrap_or(u64::MAX / 2);
    match limit.judge(limit.slot(&request), now) {
        Judged::Within { left, whole } => {
            let mut response = next.run(request).await;
            limit.tell(response.headers_mut(), (left, whole));
            response
        }
        Judged::Beyond { wait, whole } => {
            let words = "more requests than one caller may make; go on a little later";
            let problem = Problem::new(generic(StatusCode::TOO_MANY_REQUESTS), words);
            let mut response = problem.header(header::RETRY_AFTER, HeaderValue::from(wait)).into_response();
            limit.tell(response.headers_mut(), (0, whole));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn asked(name: HeaderName, value: &str) -> Request {
        Request::builder().header(name, value).body(axum::body::Body::empty()).unwrap()
    }

    #[test]
    fn a_quota_is_used_up_and_comes_back_evenly() {
        let limit = Limit::per_minute(60).unwrap();
        let slot = AtomicU64::new(0);
        for left in (0..60).rev() {
            assert!(matches!(limit.judge(&slot, 0), Judged::Within { left: now, .. } if now == left), "{left}");
        }
        assert_eq!(limit.judge(&slot, 0), Judged::Beyond { wait: 1, whole: 60 });
        assert_eq!(limit.judge(&slot, SECOND - 1), Judged::Beyond { wait: 1, whole: 60 });
        assert_eq!(limit.judge(&slot, SECOND), Judged::Within { left: 0, whole: 60 });
        assert_eq!(limit.judge(&slot, 1000 * SECOND), Judged::Within { left: 59, whole: 1 });
    }

    #[test]
    fn each_caller_has_a_quota_of_its_own() {
        let limit = Limit::per_minute(1).unwrap();
        let slots: Vec<*const AtomicU64> = (0..50)
            .map(|caller| std::ptr::from_ref(limit.slot(&asked(header::AUTHORIZATION, &format!("Bearer {caller}")))))
            .collect();
        let others = slots.iter().filter(|slot| **slot != slots[0]).count();
        // Fifty callers in 65,536 slots may meet once in a while, never all.
        assert!(others > 40, "{others}");
        let again = std::ptr::from_ref(limit.slot(&asked(header::AUTHORIZATION, "Bearer 0")));
        assert_eq!(again, slots[0]);
    }

    #[test]
    fn a_network_of_version_6_is_one_caller_and_no_limit_is_none() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert!(Limit::per_minute(0).is_none());
    }
}

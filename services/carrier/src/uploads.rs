//! How many photos are on their way at once, and one writer at a time in the folder of a delivery.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Each holds a picture twice, as it came and as it is kept.
pub(crate) const AT_ONCE: usize = 8;
/// Deliveries share locks, so that none has to be removed; more than there are uploads.
const LOCKS: usize = 64;

/// Places for photos on their way.
#[derive(Debug)]
pub(crate) struct Uploads(Semaphore);

impl Default for Uploads {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Uploads {
    /// A place for one upload, if there is one; taken before its body is read.
    pub(crate) fn begin(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}

/// Held from the count of what a delivery has until one more is there.
#[derive(Debug)]
pub(crate) struct Folders {
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl Default for Folders {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())), hasher: RandomState::new() }
    }
}

impl Folders {
    pub(crate) async fn of(&self, delivery: &str) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(delivery);
        let at = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        self.locks[at].lock().await
    }
}

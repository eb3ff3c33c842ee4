//! How many photos are on their way at once, and one at a time into the folder of a delivery.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Each holds a picture twice, as it came and as it is kept.
pub(crate) const AT_ONCE: usize = 8;
/// Deliveries share locks, so that none has to be removed; more than there are uploads.
const LOCKS: usize = 64;

#[derive(Debug)]
pub(crate) struct Uploads {
    places: Semaphore,
    folders: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl Default for Uploads {
    fn default() -> Self {
        let folders = std::array::from_fn(|_| Mutex::new(()));
        Self { places: Semaphore::new(AT_ONCE), folders, hasher: RandomState::new() }
    }
}

impl Uploads {
    /// A place for one upload, if there is one; taken before its body is read.
    pub(crate) fn begin(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Held from the count of a delivery's photos until one more is there.
    pub(crate) async fn folder(&self, delivery: &str) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(delivery);
        let at = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        self.folders[at].lock().await
    }
}

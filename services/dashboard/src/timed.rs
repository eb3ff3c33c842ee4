//! Things under names nobody can guess, each until its time; in memory only, and never more than fit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Timed<T> {
    known: Mutex<HashMap<String, (Instant, T)>>,
    most: usize,
}

impl<T: Clone> Timed<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { known: Mutex::default(), most }
    }

    /// Its name.
    pub(crate) fn put(&self, what: T, life: Duration) -> String {
        let id = hex::encode(rand::random::<[u8; 32]>());
        let (now, mut known) = (Instant::now(), self.known());
        if known.len() >= self.most {
            known.retain(|_, (end, _)| *end > now);
        }
        // Still full: whoever would leave first leaves now.
        if known.len() >= self.most
            && let Some(first) = known.iter().min_by_key(|(_, (end, _))| *end).map(|(id, _)| id.clone())
        {
            known.remove(&first);
        }
        known.insert(id.clone(), (now + life, what));
        id
    }

    pub(crate) fn get(&self, id: &str) -> Option<T> {
        let known = self.known();
        known.get(id).filter(|(end, _)| *end > Instant::now()).map(|(_, what)| what.clone())
    }

    pub(crate) fn take(&self, id: &str) -> Option<T> {
        let (end, what) = self.known().remove(id)?;
        (end > Instant::now()).then_some(what)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Instant, T)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10_000;

    #[test]
    fn what_is_over_opens_nothing_and_a_full_house_sends_the_first_home() {
        let timed = Timed::new(MOST);
        let over = timed.put("ann", Duration::ZERO);
        assert!(timed.get(&over).is_none() && timed.take(&over).is_none());
        let first = timed.put("bob", Duration::from_secs(1));
        let long = Duration::from_secs(8 * 3600);
        let ids: Vec<String> = (0..MOST).map(|_| timed.put("cy", long)).collect();
        assert!(timed.get(&first).is_none() && timed.get(&ids[0]).is_some());
    }
}

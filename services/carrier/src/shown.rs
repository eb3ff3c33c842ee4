//! What viewers were shown last: a page asks for the same again and again, and it changes only with the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use waybill_chassis::etag::Tagged;
use waybill_chassis::problem::Problem;
use waybill_crds::Delivery;
use waybill_protocol::Log;

use crate::view::view;

/// Some thousand deliveries with somebody looking; beyond that all are made anew.
const MOST: usize = 4096;

/// The answers, by delivery. Each counts for the very log it was made of, which is another one for every version of its object: weak, so that no log is kept alive by having been shown.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<HashMap<String, Answer>>);

type Answer = (Weak<Log>, Arc<Tagged>);

impl Shown {
    pub(crate) fn of(&self, delivery: &Delivery, log: &Arc<Log>) -> Result<Arc<Tagged>, Problem> {
        let uid = log.subject().delivery.as_str();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_of, tagged)) = all.get(uid)
            && std::ptr::eq(made_of.as_ptr(), Arc::as_ptr(log))
        {
            return Ok(Arc::clone(tagged));
        }
        let tagged = Arc::new(Tagged::new(&view(delivery, log))?);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(uid.to_owned(), (Arc::downgrade(log), Arc::clone(&tagged)));
        Ok(tagged)
    }
}

#[cfg(test)]
mod tests {
    use waybill_protocol::{Name, Subject, Trust, Uid};

    use super::*;

    #[test]
    fn what_was_shown_counts_for_the_very_log_it_was_made_of() {
        let log = || {
            let (delivery, seller) = (Uid::new("d-1").unwrap(), Uid::new("s-1").unwrap());
            let subject = Subject { delivery, namespace: Name::new("demo").unwrap(), seller };
            Arc::new(Log::new(subject, &Trust::new(Vec::new())))
        };
        let spec = serde_json::from_value(serde_json::json!({"upc": "upc-1", "seller": "shop"})).unwrap();
        let (shown, delivery, one, other) = (Shown::default(), Delivery::new("upc-1", spec), log(), log());
        let first = shown.of(&delivery, &one).unwrap();
        assert!(Arc::ptr_eq(&first, &shown.of(&delivery, &one).unwrap()));
        assert!(!Arc::ptr_eq(&first, &shown.of(&delivery, &other).unwrap()));
    }
}

//! What may be kept of a delivery that is over, beside its log: pictures of a door and what people wrote. Pure.
//!
//! The log itself holds no personal data and is kept; `Seller.spec.retention` says how long the rest is.

use waybill_crds::seller::{OnForget, Retention};

/// What may be kept now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Pictures. Notes go with them, and when the order is forgotten in any case.
    pub(crate) photos: bool,
    /// Until then: seconds since the epoch; `None` where no time ends it.
    pub(crate) until: Option<u64>,
}

/// What may be kept at `now` of a delivery that ended at `ended`, both in seconds since the epoch.
pub(crate) fn kept(retention: Retention, forgotten: bool, ended: u64, now: u64) -> Kept {
    let until = retention.photos.map(|photos| ended.saturating_add(photos.get().as_secs()));
    let erased = forgotten && retention.on_forget.photos == OnForget::Erase;
    let photos = !erased && until.is_none_or(|until| now < until);
    Kept { photos, until: until.filter(|_| photos) }
}

#[cfg(test)]
mod tests {
    use waybill_crds::seller::Forgetting;

    use super::*;

    fn retention(photos: Option<&str>, on_forget: OnForget) -> Retention {
        let photos = photos.map(|text| text.parse().unwrap());
        Retention { photos, on_forget: Forgetting { photos: on_forget } }
    }

    #[test]
    fn pictures_go_when_their_time_is_over_or_their_order_is_forgotten() {
        let (hour, ever) = (retention(Some("1h"), OnForget::Erase), retention(None, OnForget::Erase));
        assert_eq!(kept(ever, false, 0, u64::MAX), Kept { photos: true, until: None });
        assert_eq!(kept(hour, false, 100, 3699), Kept { photos: true, until: Some(3700) });
        assert_eq!(kept(hour, false, 100, 3700), Kept { photos: false, until: None });
        assert_eq!(kept(ever, true, 0, 1), Kept { photos: false, until: None });
    }

    #[test]
    fn a_seller_may_keep_pictures_of_a_forgotten_order_but_not_for_longer_than_others() {
        let keep = retention(Some("1h"), OnForget::Keep);
        assert_eq!(kept(keep, true, 0, 3599), Kept { photos: true, until: Some(3600) });
        assert_eq!(kept(keep, true, 0, 3600), Kept { photos: false, until: None });
    }
}

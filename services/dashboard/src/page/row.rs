//! A row as its template sees it.

use askama::Template;
use jiff::Timestamp;
use waybill_crds::delivery::Author;

use super::words;
use crate::assets;
use crate::feed::row::{Lane, Last, Picture, Row};

/// One row alone, for whoever follows live: the same template as in a page.
#[derive(Template)]
#[template(path = "row.html")]
pub(crate) struct RowHtml<'r> {
    pub(crate) row: &'r Row,
    pub(crate) now: Timestamp,
}

impl Row {
    pub(crate) fn href(&self) -> String {
        format!("/d/{}/{}", self.namespace, self.name)
    }

    pub(crate) fn tone(&self) -> &'static str {
        match self.lane {
            Lane::Attention => "bad",
            Lane::Moving | Lane::Done => words::tone(self.phase),
        }
    }

    pub(crate) fn label(&self) -> &'static str {
        words::phase(self.phase)
    }

    pub(crate) fn phase_icon(&self) -> String {
        icon(words::phase_icon(self.phase))
    }

    pub(crate) fn kind_icon(&self) -> String {
        icon(words::kind_icon(self.kind))
    }

    pub(crate) fn kind_word(&self) -> &'static str {
        self.kind.map_or("", |kind| kind.as_str())
    }

    pub(crate) fn stage_word(&self) -> &'static str {
        words::stage(self.stage)
    }

    pub(crate) fn stage_level(&self) -> u8 {
        words::stage_level(self.stage)
    }

    /// The picture's address, if there is one.
    pub(crate) fn picture_url(&self) -> Option<String> {
        match &self.picture {
            Picture::Here(hash) => Some(format!("{}/photos/{hash}/small", self.href())),
            Picture::None | Picture::Awaited => None,
        }
    }

    pub(crate) fn awaits_picture(&self) -> bool {
        self.picture == Picture::Awaited
    }

    /// Made a moment ago and not begun: there is no event to show.
    pub(crate) fn when(&self) -> (String, String) {
        (self.changed.to_string(), words::exactly(self.changed))
    }

    pub(crate) fn ago(&self, now: &Timestamp) -> String {
        words::ago(self.changed, *now)
    }
}

impl Last {
    pub(crate) fn words(&self) -> String {
        words::event(&self.event)
    }

    pub(crate) fn by(&self) -> &'static str {
        match self.author {
            Author::Seller => "seller",
            Author::Transport => "carrier",
            Author::Person => "a person",
        }
    }
}

/// Where a symbol is found.
pub(crate) fn icon(name: &str) -> String {
    format!("{}#{name}", assets::url("icons.svg"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{one, parcel};

    fn html(row: &Row) -> String {
        RowHtml { row, now: Timestamp::now() }.render().unwrap()
    }

    #[test]
    fn a_row_says_phase_in_words_and_escapes_what_others_wrote() {
        let said = "<script>alert(1)</script>";
        let condition = json!([{"type": "Stalled", "status": "True", "reason": "X", "message": said,
                                "lastTransitionTime": "2026-11-01T00:00:00Z"}]);
        let row = one(parcel(
            "UPC_1",
            json!({"status": {"phase": "InTransit", "stage": "PostalCode", "attempt": 2,
                                             "conditions": condition}}),
        ));
        let html = html(&row);
        assert!(html.contains("In transit") && html.contains("Postal code open") && html.contains("Stalled"), "{html}");
        assert!(html.contains("Attempt 2 of 3") && !html.contains("<script>"), "{html}");
        assert_eq!(row.lane, Lane::Attention);
    }

    #[test]
    fn a_delivered_parcel_shows_its_picture_or_that_it_is_awaited() {
        let proven = |status: &str| {
            json!([{"type": "Proven", "status": status, "reason": "X", "message": "",
                                            "lastTransitionTime": "2026-11-01T00:00:00Z"}])
        };
        let awaited = json!({"status": {"phase": "Delivered", "conditions": proven("False")}});
        assert!(html(&one(parcel("a", awaited))).contains("waiting for the proof picture"));
        let hash = "ab".repeat(32);
        let here =
            json!({"status": {"phase": "Delivered", "conditions": proven("True"), "proof": {"photoHash": hash}}});
        assert!(html(&one(parcel("a", here))).contains(&format!("/photos/{hash}/small")));
    }
}

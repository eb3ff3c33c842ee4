//! A table of what was measured, what it is compared with, whether the bar was met, and what was lost.

use anyhow::{Result, bail};

/// One run's figures.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
    losses: Vec<String>,
}

impl Report {
    /// A figure without a bar of its own: a baseline, a setting, a condition.
    pub(crate) fn line(&mut self, what: &str, measured: impl Into<String>) {
        self.push(what, measured.into(), String::new(), "");
    }

    /// A figure that must stay at or above its bar.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        self.push(what, amount(measured, unit), format!("≥ {}", amount(bar, unit)), verdict(measured >= bar));
    }

    /// A figure that must stay at or below its bar.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        self.push(what, amount(measured, unit), format!("≤ {}", amount(bar, unit)), verdict(measured <= bar));
    }

    /// How many of `of` did not arrive, were not issued, did not last. One is enough to fail the run: what was measured beside it
    /// says nothing.
    pub(crate) fn lost(&mut self, what: &str, count: usize, of: usize) {
        if count > 0 {
            self.losses.push(format!("{what}: {count} of {of}"));
        }
        self.push(what, format!("{count} of {of}"), "0".into(), if count == 0 { "met" } else { "LOST" });
    }

    fn push(&mut self, what: &str, measured: String, bar: String, verdict: &str) {
        println!("  {what}: {measured} {bar} {verdict}");
        self.rows.push([what.into(), measured, bar, verdict.into()]);
    }

    /// The table as Markdown.
    pub(crate) fn table(&self) -> String {
        let rows = self.rows.iter().map(|[what, measured, bar, verdict]| {
            let columns = [what, measured, bar, verdict].map(|text| text.trim_end()).join(" | ");
            format!("| {columns} |\n")
        });
        format!("| figure | measured | bar | |\n|---|---|---|---|\n{}", rows.collect::<String>())
    }

    /// Fails where anything was lost. A missed bar is only told: machines are noisy.
    pub(crate) fn outcome(&self) -> Result<()> {
        if !self.losses.is_empty() {
            bail!("a lossy run is a failed run: {}", self.losses.join("; "));
        }
        Ok(())
    }
}

fn amount(value: f64, unit: &str) -> String {
    format!("{value:.2} {unit}").trim_end().to_owned()
}

/// A comparison with what is not a number is never true, and so is a missed bar.
fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_at_its_very_value_and_missed_by_what_is_no_number() {
        let mut report = Report::default();
        report.at_least("a", 83.0, 83.0, "/s");
        report.at_most("b", 1.21, 1.2, "×");
        report.at_most("c", f64::NAN, 1.0, "");
        let verdicts: Vec<&str> = report.rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(verdicts, ["met", "MISSED", "MISSED"]);
        assert!(report.outcome().is_ok(), "a missed bar is no loss");
    }

    #[test]
    fn one_loss_fails_the_run_and_is_named() {
        let mut report = Report::default();
        report.lost("messages lost", 0, 10);
        assert!(report.outcome().is_ok());
        report.lost("certificates missing", 1, 10);
        assert!(report.outcome().unwrap_err().to_string().contains("certificates missing: 1 of 10"));
    }

    #[test]
    fn the_table_is_markdown() {
        let mut report = Report::default();
        report.at_least("rate", 90.0, 83.0, "/s");
        report.line("load", "0.1");
        assert!(report.table().ends_with("| rate | 90.00 /s | ≥ 83.00 /s | met |\n| load | 0.1 |  |  |\n"));
    }
}

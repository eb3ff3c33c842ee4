//! A table of what was measured, what it is compared with, and whether the bar was met.

/// One run's figures.
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
}

impl Report {
    pub(crate) fn new(versions: &str) -> Self {
        println!("{versions}");
        Self { rows: Vec::new() }
    }

    /// A figure without a bar of its own: a baseline, a setting, a loss.
    pub(crate) fn line(&mut self, what: &str, measured: String) {
        self.push(what, measured, String::new(), String::new());
    }

    /// A figure that must stay at or above its bar.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        let verdict = if measured >= bar { "met" } else { "MISSED" };
        self.push(what, format!("{measured:.2} {unit}"), format!("≥ {bar:.2} {unit}"), verdict.into());
    }

    /// A figure that must stay at or below its bar.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        let verdict = if measured <= bar { "met" } else { "MISSED" };
        self.push(what, format!("{measured:.2} {unit}"), format!("≤ {bar:.2} {unit}"), verdict.into());
    }

    fn push(&mut self, what: &str, measured: String, bar: String, verdict: String) {
        println!("  {what}: {measured} {bar} {verdict}");
        self.rows.push([what.into(), measured, bar, verdict]);
    }

    pub(crate) fn print(&self) {
        println!("\n| figure | measured | bar | |\n|---|---|---|---|");
        for [what, measured, bar, verdict] in &self.rows {
            println!("| {what} | {measured} | {bar} | {verdict} |");
        }
    }
}

//! Tables for people, documents for programs.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::error::Error;

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Json,
    Yaml,
    Name,
}

/// Lines of cells, each column as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub(crate) fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("   ").trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

/// A value as a document; `name` is what `-o name` prints.
pub(crate) fn document(value: &impl Serialize, form: Form, name: &str) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Missing(format!("failed to write the answer: {error}"));
    match form {
        Form::Json => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| failed(&error)),
        Form::Yaml => serde_saphyr::to_string(value).map_err(|error| failed(&error)),
        Form::Name => Ok(format!("{name}\n")),
    }
}

/// Prints, and ends quietly when nobody reads on.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(i32::from(crate::code::DONE));
    }
}

/// Whether a screen can be drawn again in place.
pub(crate) fn is_screen() -> bool {
    std::io::stdout().is_terminal()
}

/// How long ago, as kubectl says it.
pub(crate) fn age(then: Timestamp) -> String {
    let seconds = Timestamp::now().as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_they_hold() {
        let mut table = Table::new(&["UPC", "PHASE"]);
        table.row(["a".into(), "Päckchen".into()]);
        table.row(["a-long-code".into(), String::new()]);
        assert_eq!(table.text(), "UPC           PHASE\na             Päckchen\na-long-code\n");
    }
}

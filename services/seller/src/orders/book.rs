//! All orders of a Seller, and what is wrong with the ones that are missing.

use std::collections::BTreeMap;
use std::fmt;

use super::{Malformed, Order, parse};

/// A Secret by name and, where it exists, its keys.
pub type Source = (String, Option<BTreeMap<String, Vec<u8>>>);

/// Faults a message lists before it only counts them.
const LISTED: usize = 3;

/// Every order that can be used, by UPC, and every reason why one cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    orders: BTreeMap<String, Order>,
    faults: Vec<Fault>,
}

/// One thing to mend: where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub secret: String,
    pub key: Option<String>,
    pub cause: FaultCause,
}

/// What is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultCause {
    /// The Secret does not exist.
    Missing,
    /// The key's value is no order.
    Malformed(Malformed),
    /// Another Secret holds the same UPC: neither is used, since nobody can say which address is meant.
    Twice { other: String },
}

impl Book {
    /// Reads all sources. One bad order spoils no other.
    pub fn read(sources: &[Source]) -> Self {
        let mut book = Self::default();
        let mut origin: BTreeMap<&str, &str> = BTreeMap::new();
        for (secret, keys) in sources {
            let Some(keys) = keys else {
                book.fault(secret, None, FaultCause::Missing);
                continue;
            };
            for (upc, value) in keys {
                if let Some(other) = origin.get(upc.as_str()) {
                    book.orders.remove(upc);
                    book.fault(secret, Some(upc), FaultCause::Twice { other: (*other).to_owned() });
                    continue;
                }
                origin.insert(upc, secret);
                match parse(value) {
                    Ok(order) => drop(book.orders.insert(upc.clone(), order)),
                    Err(malformed) => book.fault(secret, Some(upc), FaultCause::Malformed(malformed)),
                }
            }
        }
        book
    }

    /// The order for a UPC.
    pub fn order(&self, upc: &str) -> Option<&Order> {
        self.orders.get(upc)
    }

    /// How many orders can be used.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// True when no order can be used.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// What is wrong, in the order of the Secrets.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What is wrong with the order of this UPC, where there is one.
    pub fn fault_of(&self, upc: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.key.as_deref() == Some(upc))
    }

    /// The faults in words, bounded: the first few in full, the rest counted.
    pub fn complaint(&self) -> String {
        let mut words: Vec<String> = self.faults.iter().take(LISTED).map(ToString::to_string).collect();
        if self.faults.len() > LISTED {
            words.push(format!("and {} more", self.faults.len() - LISTED));
        }
        words.join("; ")
    }

    fn fault(&mut self, secret: &str, key: Option<&str>, cause: FaultCause) {
        self.faults.push(Fault { secret: secret.to_owned(), key: key.map(str::to_owned), cause });
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "key {key} of Secret {} ", self.secret)?,
            None => write!(f, "Secret {} ", self.secret)?,
        }
        match &self.cause {
            FaultCause::Missing => f.write_str("does not exist"),
            FaultCause::Malformed(malformed) => write!(f, "{malformed}"),
            FaultCause::Twice { other } => write!(f, "is in Secret {other} too, so neither is used"),
        }
    }
}

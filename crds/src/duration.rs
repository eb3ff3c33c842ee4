//! Spans of time as users write them: `72h`, `90m`, `1h30m`, `45s`. One parser for custom resources and flags.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the schema accepts; [`Duration::from_str`] accepts the same.
pub const PATTERN: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?$";
const UNITS: [(char, u64, usize); 3] = [('h', 3600, 6), ('m', 60, 6), ('s', 1, 9)];

/// A span of time in whole seconds, written with hours, minutes and seconds in this order: `72h`, `1h30m`, `45s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// The text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read duration {text:?}: write hours, minutes, seconds in this order, such as 72h, 1h30m or 45s")]
pub struct ParseDurationError {
    text: String,
}

impl Duration {
    /// So many hours.
    pub const fn hours(hours: u32) -> Self {
        Self::seconds(hours as u64 * 3600)
    }

    /// So many minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self::seconds(minutes as u64 * 60)
    }

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// The same span as the standard library has it.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseDurationError { text: text.to_owned() };
        let (mut rest, mut seconds) = (text, 0_u64);
        for (unit, factor, max_digits) in UNITS {
            let Some((number, after)) = rest.split_once(unit) else { continue };
            let digits = number.len() <= max_digits && number.bytes().all(|b| b.is_ascii_digit());
            let count: u64 = number.parse().ok().filter(|_| digits).ok_or_else(refused)?;
            // Bounded digits: at most 10^6 hours, so this cannot overflow.
            seconds += count * factor;
            rest = after;
        }
        if text.is_empty() || !rest.is_empty() {
            return Err(refused());
        }
        Ok(Self::seconds(seconds))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_secs();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, factor, _) in UNITS {
            let count = left / factor;
            left %= factor;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The CEL test that `value` is a duration; rules that compare ask it first, or they would fail over `3d` themselves.
pub(crate) fn readable(value: &str) -> String {
    format!("{value}.size() > 0 && {value}.matches('{PATTERN}')")
}

/// The rule that a duration lies within bounds; what is no duration is refused elsewhere.
pub(crate) fn within(bounds: &str, message: &str) -> Rule {
    Rule::new(format!("!({}) || ({bounds})", readable("self"))).message(message)
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A rule and not a `pattern`, whose refusal would show users nothing but the expression.
        json_schema!({
            "type": "string",
            "maxLength": 24,
            "x-kubernetes-validations": [{
                "rule": readable("self"),
                "message": "must be hours, minutes, seconds in this order, such as 72h, 1h30m or 45s",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_is_understood() {
        for (text, seconds) in [("72h", 259_200), ("30m", 1_800), ("90s", 90), ("1h30m", 5_400), ("2h5s", 7_205)] {
            assert_eq!(text.parse(), Ok(Duration::seconds(seconds)), "{text}");
        }
        assert_eq!("0s".parse(), Ok(Duration::default()));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "h", "72", "72 h", "-1h", "+1h", "1.5h", "30m1h", "1d", "1h1h", "1000000000000h", "1hm", "١h"]
        {
            let refused = text.parse::<Duration>().expect_err(text).to_string();
            assert!(refused.contains("such as 72h, 1h30m or 45s"), "{refused}");
        }
    }

    #[test]
    fn the_largest_accepted_text_does_not_overflow() {
        let largest: Duration = "999999h999999m999999999s".parse().expect("within the pattern");
        assert_eq!(largest.get().as_secs(), 999_999 * 3600 + 999_999 * 60 + 999_999_999);
    }

    #[test]
    fn it_reads_back_what_it_prints() {
        for seconds in [0, 1, 59, 60, 61, 3600, 3661, 259_200, 86_399] {
            let duration = Duration::seconds(seconds);
            assert_eq!(duration.to_string().parse(), Ok(duration));
            let json = serde_json::to_string(&duration).expect("a string");
            assert_eq!(serde_json::from_str::<Duration>(&json).expect("the same"), duration);
        }
        assert_eq!(Duration::minutes(90).to_string(), "1h30m");
    }
}
